"""Proves how a layer's algorithm is chosen, and that all strategies use the chosen ones."""

from dataclasses import replace

import pytest

from dlfusion.cost.analytic import Analytic
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import check
from dlfusion.plans.plan import Block
from dlfusion.search import strategy_names
from dlfusion.search.blocks import step_rows, tile_step
from dlfusion.search.choices import Choices
from dlfusion.search.contract import toy_cpu, toy_problem
from dlfusion.search.problem import Problem
from tests.search.exhaustive import Stated, planned
from tests.support.networks import chain
from tests.support.random_plans import ALL_ALGORITHMS

MEASURING = ("tuned", "oracle")


def network() -> Network:
    """Layers 0 and 2 have a choice; layer 1 is 1x1, layer 3 has stride 2."""
    return describe(chain([(16, 3, 1), (16, 1, 1), (16, 3, 1), (16, 3, 2)], height=24, channels=16).build())


def problem(seconds: dict[str, float] | None = None, algorithms: tuple[str, ...] = ALL_ALGORITHMS) -> Problem:
    made = toy_problem(network(), replace(toy_cpu(), l2_bytes=1 << 20), algorithms)
    return made if seconds is None else replace(made, cost=Stated(seconds))


def test_each_layer_takes_the_offered_algorithm_of_least_predicted_time() -> None:
    seconds = {"winograd2": 3.0, "winograd4": 2.0, "winograd6": 1.0}
    assert problem(seconds).chosen_algorithms == ("winograd6", "direct", "winograd6", "direct")
    without = problem(seconds, ("direct", "winograd2", "winograd4"))
    assert without.chosen_algorithms == ("winograd4", "direct", "winograd4", "direct")
    assert problem({"winograd4": 5.0}).chosen_algorithms == ("direct",) * 4
    assert problem(seconds, ("direct",)).chosen_algorithms == ("direct",) * 4
    assert problem(seconds).algorithms_of(1, 3) == ((2, "winograd6"),)
    preferring = replace(problem(seconds), preferred=("winograd2", "direct", "direct", "direct"))
    assert preferring.algorithms_of(0, 3) == ((0, "winograd2"),)


@pytest.mark.parametrize("name", [name for name in strategy_names() if name not in MEASURING])
def test_every_strategy_uses_the_chosen_algorithms_and_never_names_the_direct_one(name: str) -> None:
    made = problem({"winograd2": 3.0, "winograd4": 2.0, "winograd6": 3.0})
    plan = planned(name, made)
    check(made.network, plan, made.limits)
    assert [entry for block in plan.blocks for entry in block.algorithms] == [(0, "winograd4"), (2, "winograd4")]


def test_the_step_of_a_block_with_tiles_is_a_multiple_of_whole_tiles() -> None:
    net = network()
    assert tile_step(net, Block(0, 2, 1)) == 1
    assert tile_step(net, Block(0, 2, 1, algorithms=((0, "winograd6"),))) == 6
    assert tile_step(net, Block(0, 2, 1, algorithms=((0, "winograd6"), (2, "winograd4")))) == 12
    # The tallest output of layers 2 and 3 has half the rows of layer 2.
    assert tile_step(net, Block(2, 3, 1, algorithms=((2, "winograd6"),))) == 3
    uneven = describe(chain([(16, 3, 1), (16, 3, 2)], height=55, channels=16).build())
    assert tile_step(uneven, Block(0, 1, 1, algorithms=((0, "winograd6"),))) == 3
    assert step_rows(problem(), Block(0, 2, 1, algorithms=((0, "winograd6"),))) in (6, 12)


def test_searches_by_measuring_leave_slow_algorithms_and_steps_of_broken_tiles_out() -> None:
    made = problem({"winograd2": 3.5, "winograd4": 2.0, "winograd6": 2.5, "direct": 2.9})
    choices = Choices(made, 4)
    assert {block.algorithms for block in choices.of(0, 0)} == {(), ((0, "winograd4"),), ((0, "winograd6"),)}
    longer = choices.of(0, 2)
    assert {block.algorithms for block in longer} == {(), ((0, "winograd4"), (2, "winograd4"))}
    assert all(block.step_rows % 4 == 0 for block in longer if block.algorithms)
    slower = Choices(problem({"winograd4": 2.0, "direct": 3.1}), 4)
    assert {block.algorithms for block in slower.of(0, 0)} == {((0, "winograd4"),)}


def test_the_model_of_a_cpu_prefers_large_tiles_on_large_maps_and_none_on_the_smallest() -> None:
    def chosen(height: int, channels: int) -> str:
        net = describe(chain([(channels, 3, 1)], height=height, channels=channels).build())
        machine = toy_cpu()
        return replace(toy_problem(net, machine, ALL_ALGORITHMS), cost=Analytic(machine)).chosen_algorithms[0]

    assert chosen(112, 64) == "winograd6"
    assert chosen(8, 64) in ("winograd2", "winograd4")
    assert chosen(1, 64) == "direct"
