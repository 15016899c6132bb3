"""As few blocks as legality allows: the far end from layer by layer."""

from dataclasses import dataclass

from dlfusion.plans.plan import Plan
from dlfusion.search.blocks import fused, runs
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class FuseAll:
    """The strategy `fuse-all`."""

    def plan(self, problem: Problem) -> Plan:
        """Blocks end only where they must; each block uses all cores that its rows allow."""
        most, predictions = problem.most_cores, Predictions(problem)
        blocks = tuple(fused(problem, *run[:2], most, run[2], predictions) for run in runs(problem, most))
        return problem.plan("fuse-all", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("fuse-all", argument)
    return FuseAll()
