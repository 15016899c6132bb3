"""Proves that a fitted model scales the parts it has factors for, and halo with the arithmetic it repeats."""

import pytest

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.fitted import Fitted
from dlfusion.cost.profile import CostFit, Fit
from dlfusion.cost.terms import HALO, HIDDEN, LAUNCH, MAPS, total
from dlfusion.layers.describe import describe
from dlfusion.machine import Cpu
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import schedule
from tests.support.networks import chain

MACHINE = Cpu("Test CPU", 4)
ANY_FIT = Fit(1, 0.0, 0.0, 1.0)


def test_without_factors_and_with_the_assumed_overlap_nothing_changes() -> None:
    network = describe(chain([(16, 3, 1)] * 3, height=32, channels=16).build())
    cut = schedule(network, Block(0, 2, 4, step_rows=2))
    analytic = Analytic(MACHINE)
    fitted = Fitted(MACHINE, CostFit((), analytic.overlap, ANY_FIT))
    assert fitted.block(network, cut) == analytic.block(network, cut)
    assert set(analytic.assumptions) < set(fitted.assumptions)
    assert fitted.name.startswith("fitted ")


def test_halo_is_scaled_as_the_arithmetic_of_its_block() -> None:
    parts = {LAUNCH: 1.0, "dense convolution": 6.0, "pool": 2.0, HALO: 4.0, MAPS: 3.0}
    cost = total(parts, {"dense convolution": 2.0, "pool": 4.0, MAPS: 0.0}, 0.5)
    found = {term.name: term.seconds for term in cost.terms}
    assert found[HALO] == pytest.approx(4 / 8 * (12 + 8))
    assert MAPS not in found
    assert cost.seconds == pytest.approx(1 + 12 + 8 + 10)


@pytest.mark.parametrize("maps", [3.0, 30.0])
def test_the_shorter_side_hides_behind_the_longer(maps: float) -> None:
    cost = total({"pool": 8.0, MAPS: maps}, {}, 0.25)
    assert cost.terms[-1].name == HIDDEN
    assert cost.seconds == pytest.approx(8 + maps - 0.25 * min(8, maps))
