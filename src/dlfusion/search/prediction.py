"""Predicted times of the blocks of one problem, each structure evaluated once."""

from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import Schedule, schedule
from dlfusion.plans.structure import structure
from dlfusion.search.problem import Problem


class Predictions:
    """Seconds of the problem's blocks by its cost model; blocks of equal structure share one evaluation."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._seconds: dict[str, float] = {}

    def block(self, block: Block, cut: Schedule | None = None) -> float:
        """Predicted seconds of one run of a legal block; `cut` is its schedule where the caller has it already."""
        network = self._problem.network
        digest = structure(network, block)
        if digest not in self._seconds:
            known = schedule(network, block) if cut is None else cut
            self._seconds[digest] = self._problem.cost.block(network, known).seconds
        return self._seconds[digest]

    def plan(self, plan: Plan) -> float:
        """Predicted seconds of one run of a legal plan."""
        return sum(self.block(block) for block in plan.blocks)
