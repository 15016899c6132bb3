"""Every k layers one block, on one number of cores: both chosen by predicted time, or k given (`fixed-block:3`)."""

from dataclasses import dataclass

from dlfusion.plans.plan import Plan
from dlfusion.search.blocks import fused, runs
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Strategy, layer_count

LONGEST = 8
"""Block lengths that are tried if none is given: 1 (no fusion) up to this."""


@dataclass(frozen=True, slots=True)
class FixedBlock:
    """The strategy `fixed-block`; `length` is the layers per block, None to choose it."""

    length: int | None = None

    def plan(self, problem: Problem) -> Plan:
        """The predicted best of all lengths and core counts; the shortest blocks and fewest cores on a tie."""
        lengths = range(1, LONGEST + 1) if self.length is None else (self.length,)
        predictions = Predictions(problem)
        plans = [_plan(problem, length, count, predictions) for length in lengths for count in problem.core_counts]
        return min(plans, key=predictions.plan)


def _plan(problem: Problem, length: int, cores: int, predictions: Predictions) -> Plan:
    ranges = runs(problem, cores, length)
    blocks = tuple(fused(problem, first, last, cores, reason, predictions) for first, last, reason in ranges)
    return problem.plan(f"fixed-block:{length}", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; `argument` is the number of layers per block.

    Raises:
        PlanError: the argument is no positive whole number.
    """
    return FixedBlock(None if argument is None else layer_count("fixed-block", argument, "the layers of a block", 3))
