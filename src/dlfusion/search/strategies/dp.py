"""The exact optimum of predicted time over block boundaries, cores, steps, partitions and algorithms."""

from dataclasses import dataclass, replace
from itertools import pairwise

from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.search.dynamic import best_cover
from dlfusion.search.problem import Problem
from dlfusion.search.ranges import RangeTable
from dlfusion.search.strategy import Strategy, layer_count


@dataclass(frozen=True, slots=True)
class Dp:
    """The strategy `dp`; `longest` is the most layers to a block, None for no limit."""

    longest: int | None = None

    def plan(self, problem: Problem) -> Plan:
        """No plan has a shorter predicted time, of all plans made of `candidates`."""
        table = RangeTable(problem, self.longest)
        blocks = best_cover(len(problem.network.layers), table.best)
        reasons = [_reason(problem, table, *pair) for pair in pairwise(blocks)]
        reasons.append("last layer of the network")
        name = "dp" if self.longest is None else f"dp:{self.longest}"
        return problem.plan(name, tuple(replace(b, reason=why) for b, why in zip(blocks, reasons, strict=True)))


def _reason(problem: Problem, table: RangeTable, block: Block, following: Block) -> str:
    """Why a boundary lies between two blocks of the optimum."""
    merged = table.best(block.first, following.last)
    if merged is None:
        return f"with the next block, {_obstacle(problem, Block(block.first, following.last, problem.core_counts[0]))}"
    parts = [table.best(part.first, part.last) for part in (block, following)]
    apart = sum(option[0] for option in parts if option is not None)
    return (
        f"apart, this block and the next are predicted to take {apart * 1e6:.1f} us, as one block "
        f"{merged[0] * 1e6:.1f} us"
    )


def _obstacle(problem: Problem, block: Block) -> str:
    """Why a range cannot be a block, given one on the fewest cores in steps of one row."""
    found = problems(problem.network, block, problem.limits)
    return found[0] if found else f"there would be {len(block.layers)} layers to a block"


def create(argument: str | None) -> Strategy:
    """The strategy; `argument` is the most layers to a block.

    Raises:
        PlanError: the argument is no positive whole number.
    """
    return Dp(None if argument is None else layer_count("dp", argument, "the most layers to a block", 12))
