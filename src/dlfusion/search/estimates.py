"""Times of blocks as far as they are known: measured, or predicted and corrected by what was measured."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from dlfusion.plans.plan import Block
from dlfusion.plans.structure import structure
from dlfusion.search.choices import Choices
from dlfusion.search.dynamic import Option, best_cover
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem

Layers = tuple[Block, ...]
"""The blocks of a plan."""


class _Entry(NamedTuple):
    """A block that may be chosen, what equal blocks have in common, and its predicted seconds."""

    block: Block
    structure: str
    predicted: float


class Estimates:
    """The seconds of all blocks that `Choices` offers; predictions are scaled to the measurements there are."""

    def __init__(self, problem: Problem, longest: int, predictions: Predictions) -> None:
        """`longest` is the most layers to a block."""
        self._problem = problem
        self._longest = longest
        self._choices = Choices(problem, longest)
        self._predictions = predictions
        self._measured: dict[str, float] = {}
        self._ratios: dict[bool, list[float]] = {True: [], False: []}
        self._scale = {True: 1.0, False: 1.0}

    def of(self, problem: Problem) -> "Estimates":
        """The same knowledge for another problem of the same network, such as one that prefers other algorithms."""
        other = Estimates(problem, self._longest, self._predictions)
        other._measured = dict(self._measured)
        other._ratios = {alone: list(ratios) for alone, ratios in self._ratios.items()}
        other._scale = dict(self._scale)
        return other

    def blocks(self, first: int, last: int) -> Layers:
        """All blocks of a range; empty if there are none."""
        return tuple(entry.block for entry in self._table.get((first, last), ()))

    def alone(self) -> Layers:
        """All blocks of one layer."""
        return tuple(block for index in range(self._count) for block in self.blocks(index, index))

    def unmeasured(self, blocks: Sequence[Block]) -> Layers:
        """Those blocks that were not measured, one of each structure."""
        distinct = {self._entry(block).structure: block for block in reversed(blocks)}
        return tuple(block for digest, block in reversed(distinct.items()) if digest not in self._measured)

    def learn(self, blocks: Sequence[Block], seconds: Sequence[float]) -> None:
        """Take in measurements of blocks of different structure, and scale predictions by their median ratio.

        Blocks of one layer and longer ones are scaled apart, once there are measurements of both.
        """
        for block, measured in zip(blocks, seconds, strict=True):
            entry = self._entry(block)
            self._measured[entry.structure] = measured
            if entry.predicted > 0:
                self._ratios[block.first == block.last].append(measured / entry.predicted)
        for alone in (True, False):
            known = self._ratios[alone] or self._ratios[not alone]
            self._scale[alone] = statistics.median(known) if known else 1.0

    def seconds(self, block: Block) -> float:
        """Measured, else predicted and scaled."""
        return self._seconds(self._entry(block), 0.0)

    def sum(self, layers: Layers) -> float:
        """Seconds of all blocks together."""
        return sum(self.seconds(block) for block in layers)

    def option(
        self, first: int, last: int, allowed: Callable[[Block], bool] | None = None, doubt: float = 0.0
    ) -> Option | None:
        """The best block of a range with its seconds, None if there is none; only `allowed` blocks are looked at.

        `doubt` is the share that is taken off what was not measured.
        """
        entries = self._table.get((first, last), ())
        options = (
            (self._seconds(entry, doubt), entry.block) for entry in entries if allowed is None or allowed(entry.block)
        )
        return min(options, key=lambda option: option[0], default=None)

    def best(self, allowed: Callable[[Block], bool] | None = None, doubt: float = 0.0) -> Layers:
        """The cover of least estimated time by `allowed` blocks."""
        return best_cover(self._count, lambda first, last: self.option(first, last, allowed, doubt))

    def best_on(self, cores: int) -> Layers:
        """The best cover with one core count for all blocks; those that cannot use so many take the most they can."""
        most = {
            place: max((entry.block.cores for entry in entries if entry.block.cores <= cores), default=0)
            for place, entries in self._table.items()
        }
        return self.best(lambda block: block.cores == most[block.first, block.last])

    def is_measured(self, block: Block) -> bool:
        """Whether this block, or one of equal structure, was measured."""
        return self._entry(block).structure in self._measured

    def _seconds(self, entry: _Entry, doubt: float) -> float:
        measured = self._measured.get(entry.structure)
        if measured is not None:
            return measured
        return entry.predicted * self._scale[entry.block.first == entry.block.last] * (1 - doubt)

    @property
    def _count(self) -> int:
        return len(self._problem.network.layers)

    def _entry(self, block: Block) -> _Entry:
        known = self._by_block.get(block)
        if known is None:  # a block that the choices leave out, such as one of another strategy's plan
            known = self._by_block[block] = self._made(block)
        return known

    def _made(self, block: Block) -> _Entry:
        return _Entry(block, structure(self._problem.network, block), self._predictions.block(block))

    @cached_property
    def _table(self) -> dict[tuple[int, int], tuple[_Entry, ...]]:
        return {place: tuple(self._entries(*place)) for place in self._choices.ranges()}

    def _entries(self, first: int, last: int) -> Iterator[_Entry]:
        return (self._made(block) for block in self._choices.of(first, last))

    @cached_property
    def _by_block(self) -> dict[Block, _Entry]:
        return {entry.block: entry for entries in self._table.values() for entry in entries}
