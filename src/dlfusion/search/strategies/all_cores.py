"""Every layer alone on all cores: what inference engines do."""

from dataclasses import dataclass

from dlfusion.plans.plan import Plan
from dlfusion.search.blocks import runs, single
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class AllCores:
    """The strategy `all-cores`."""

    def plan(self, problem: Problem) -> Plan:
        """One block per layer, each on as many of the cores as it can be cut over."""
        most, predictions = problem.most_cores, Predictions(problem)
        ranges = runs(problem, most, 1)
        blocks = tuple(single(problem, first, most, reason, predictions) for first, _, reason in ranges)
        return problem.plan("all-cores", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("all-cores", argument)
    return AllCores()
