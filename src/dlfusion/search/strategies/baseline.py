"""Every layer alone on one core: what all other plans are compared with."""

from dataclasses import dataclass

from dlfusion.plans.plan import Plan
from dlfusion.search.blocks import runs, single
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class Baseline:
    """The strategy `baseline`."""

    def plan(self, problem: Problem) -> Plan:
        """One block per layer, one core each (the fewest that the problem allows)."""
        fewest, predictions = problem.core_counts[0], Predictions(problem)
        ranges = runs(problem, fewest, 1)
        blocks = tuple(single(problem, first, fewest, reason, predictions) for first, _, reason in ranges)
        return problem.plan("baseline", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("baseline", argument)
    return Baseline()
