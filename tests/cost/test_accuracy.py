"""Proves errors and rank correlation on numbers worked out by hand."""

import pytest

from dlfusion.cost.accuracy import accuracy, block_accuracy, rank_correlation
from dlfusion.cost.analytic import Analytic
from dlfusion.layers.describe import describe
from dlfusion.machine import Cpu
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import schedule
from tests.support.networks import chain


def test_errors_are_relative_to_the_measurement() -> None:
    found = accuracy("a model", [1.0, 3.0, 8.0], [2.0, 2.0, 10.0])
    assert found.median_relative_error == pytest.approx(0.5)
    assert found.worst_relative_error == pytest.approx(0.5)
    assert (found.model, found.predicted, found.measured) == ("a model", (1.0, 3.0, 8.0), (2.0, 2.0, 10.0))


def test_rank_correlation_looks_at_the_order_only() -> None:
    assert rank_correlation([1, 2, 3], [10, 1000, 1001]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Spearman's formula for ranks without ties: 1 - 6 * sum of squares / (n * (n^2 - 1)).
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(1 - 6 * 4 / (5 * 24))


def test_equal_values_share_their_rank() -> None:
    assert rank_correlation([1, 1, 2], [5, 5, 9]) == pytest.approx(1)
    assert rank_correlation([1, 1, 2], [5, 6, 9]) == pytest.approx(0.75**0.5)
    assert rank_correlation([1, 1], [2, 2]) == 1
    assert rank_correlation([1, 1], [2, 3]) == 0


def test_a_model_against_blocks_that_take_twice_as_long() -> None:
    network = describe(chain([(8, 3, 1), (16, 3, 1)]).build())
    model = Analytic(Cpu("Test CPU", 2))
    blocks = [Block(0, 0, 1), Block(1, 1, 2), Block(0, 1, 2)]
    measured = [(network, block, 2 * model.block(network, schedule(network, block)).seconds) for block in blocks]
    found = block_accuracy(model, measured)
    assert found.model == model.name
    assert found.median_relative_error == pytest.approx(0.5)
    assert found.rank_correlation == pytest.approx(1)


def test_nothing_to_compare_is_refused() -> None:
    for predicted, measured in (([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])):
        with pytest.raises(ValueError, match="predictions and"):
            accuracy("a model", predicted, measured)
