"""The predicted best block of every range of layers."""

from functools import cached_property

from dlfusion.plans.plan import Block
from dlfusion.plans.structure import structure
from dlfusion.search.blocks import moved
from dlfusion.search.candidates import cuts, possible_ranges
from dlfusion.search.dynamic import Option
from dlfusion.search.problem import Problem


class RangeTable:
    """For each range of layers that can be one block, the candidate of least predicted time and its seconds.

    Every candidate of every range is evaluated, so the table is exact; ranges of equal structure are evaluated once,
    and ranges are not lengthened beyond one that `can_be_block` rules out. On equal seconds the first candidate wins:
    the rows partition, the fewest cores, the smallest step.

    `longest` is the most layers to a block, None for no limit.
    """

    def __init__(self, problem: Problem, longest: int | None = None) -> None:
        self._problem = problem
        self._longest = longest
        self._known: dict[str, Option | None] = {}

    def best(self, first: int, last: int) -> Option | None:
        """The best block of layers first..last and its seconds; None if none is legal or the range is too long."""
        return self._table.get((first, last))

    @cached_property
    def _table(self) -> dict[tuple[int, int], Option]:
        table = {}
        for first, last in possible_ranges(self._problem, self._longest):
            option = self._evaluated(first, last)
            if option is not None:
                table[first, last] = option
        return table

    def _evaluated(self, first: int, last: int) -> Option | None:
        digest = structure(self._problem.network, Block(first, last, 1))
        if digest not in self._known:
            self._known[digest] = self._cheapest(first, last)
        known = self._known[digest]
        return None if known is None else (known[0], moved(known[1], first))

    def _cheapest(self, first: int, last: int) -> Option | None:
        network, cost = self._problem.network, self._problem.cost
        options = ((cost.block(network, cut).seconds, cut.block) for cut in cuts(self._problem, first, last))
        return min(options, key=lambda option: option[0], default=None)
