"""Proves that a simulated target answers like any target: legal plans only, equal blocks once, plans are sums."""

from dataclasses import replace

import pytest

from dlfusion.errors import PlanError
from dlfusion.layers.describe import describe
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.measure import Setting
from dlfusion.targets.simulated import target as target_module
from dlfusion.targets.simulated.simulator import VERSION, Simulation, Simulator, simulate
from dlfusion.targets.simulated.target import SimulatedTarget
from dlfusion.targets.target import Target
from tests.support.networks import chain
from tests.targets.simulated.toy import TOY, toy

NETWORK = describe(chain([(8, 3, 1)] * 4).build())


def plan_of(*blocks: Block) -> Plan:
    return Plan(NETWORK.graph.digest, TOY.fingerprint, "test", blocks)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[Block]:
    """The blocks that were really simulated."""
    blocks = []

    class Counting(Simulator):
        def simulate(self, block: Block) -> Simulation:
            blocks.append(block)
            return super().simulate(block)

    monkeypatch.setattr(target_module, "Simulator", Counting)
    return blocks


def test_what_a_target_says_of_itself() -> None:
    target: Target = SimulatedTarget("toy", TOY)
    assert (target.name, target.machine, target.simulated) == ("toy", TOY, True)
    assert target.setting == Setting(TOY.fingerprint, library=f"simulator {VERSION}")
    assert target.setting != SimulatedTarget("toy", toy(buffer_bytes=1)).setting


def test_a_plan_takes_as_long_as_its_blocks() -> None:
    plans = (plan_of(Block(0, 0, 1), Block(1, 3, 2)), plan_of(Block(0, 3, 4, step_rows=2)))
    with SimulatedTarget("toy", TOY).bench(NETWORK) as bench:
        times = bench.time_plans(plans, seconds=100.0)
    for plan, measured in zip(plans, times, strict=True):
        expected = [simulate(NETWORK, block, TOY).seconds for block in plan.blocks]
        assert measured.blocks == tuple((seconds,) for seconds in expected)
        assert measured.total == pytest.approx((sum(expected),))


def test_equal_blocks_are_simulated_once_in_whatever_network(simulated: list[Block]) -> None:
    target = SimulatedTarget("toy", TOY)
    plan = plan_of(*(Block(index, index, 2, reason=f"block {index}") for index in range(4)))
    with target.bench(NETWORK) as bench:
        first = bench.time_plans([plan, plan], seconds=1.0)
        # The first layer reads the model's input and the last makes its output; the two between are alike.
        assert [(block.first, block.reason) for block in simulated] == [(0, ""), (1, ""), (3, "")]
        assert bench.structure(plan.blocks[1]) == bench.structure(plan.blocks[2])
    again = describe(chain([(8, 3, 1)] * 4).build())
    with target.bench(again) as bench:
        assert bench.time_plans([plan, plan], seconds=1.0) == first
    assert len(simulated) == 3


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (Block(0, 3, 5), "5 cores are asked for, possible are 1, 2, 3, 4"),
        (Block(0, 1, 1), "bytes per core, allowed are 1024"),
        (Block(0, 4, 1), "not among layers"),
    ],
)
def test_an_illegal_block_is_refused(block: Block, problem: str) -> None:
    with (
        SimulatedTarget("toy", toy(buffer_bytes=1024)).bench(NETWORK) as bench,
        pytest.raises(PlanError, match=problem),
    ):
        bench.time_plans([replace(plan_of(), blocks=(block,))], seconds=1.0)
