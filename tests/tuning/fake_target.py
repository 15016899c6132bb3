"""A target without a device: blocks take what a cost model says, and every use is counted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dlfusion.cost.model import CostModel
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.machine import Machine
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.plans.structure import structure
from dlfusion.runtime.measure import Setting
from dlfusion.targets.target import PlanTimes


class FakeTarget:
    """Three samples a block: the second is the time that the model says, `third` times that is the third."""

    def __init__(self, machine: Machine, cost: CostModel, *, simulated: bool = False) -> None:
        """`before_measuring` is called with the plans of each request; a test may raise in it."""
        self.machine = machine
        self.cost = cost
        self.simulated = simulated
        self.algorithms = tuple(map(str, Algorithm))
        self.name = "fake"
        self.setting = Setting(machine.fingerprint, "" if simulated else "fake compiler", ("-O9",), "library 1")
        self.third = 1.02
        self.open_benches = 0
        self.opened = 0
        self.groups: list[tuple[Plan, ...]] = []
        self.before_measuring: Callable[[Sequence[Plan]], None] = lambda plans: None

    @contextmanager
    def bench(self, network: Network) -> Iterator["FakeBench"]:
        """Counts how many are open."""
        self.open_benches += 1
        self.opened += 1
        try:
            yield FakeBench(self, network)
        finally:
            self.open_benches -= 1

    @property
    def measured_blocks(self) -> list[Block]:
        """Every block of every plan that was timed, in order."""
        return [block for group in self.groups for plan in group for block in plan.blocks]


class FakeBench:
    """Times of the cost model."""

    def __init__(self, target: FakeTarget, network: Network) -> None:
        self._target = target
        self._network = network

    def structure(self, block: Block) -> str:
        """The plan's own digest."""
        return structure(self._network, block)

    def time_plans(self, plans: Sequence[Plan], seconds: float) -> tuple[PlanTimes, ...]:
        """Three samples of each."""
        del seconds
        self._target.before_measuring(plans)
        self._target.groups.append(tuple(plans))
        return tuple(self._times(plan) for plan in plans)

    def _times(self, plan: Plan) -> PlanTimes:
        cuts = [schedule(self._network, block) for block in plan.blocks]
        seconds = [self._target.cost.block(self._network, cut).seconds for cut in cuts]
        slower = (1.5, 1.0, self._target.third)
        blocks = tuple(tuple(factor * block for factor in slower) for block in seconds)
        return PlanTimes(tuple(sum(sample) for sample in zip(*blocks, strict=True)), blocks)
