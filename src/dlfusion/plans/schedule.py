"""The row arithmetic of a block: which core produces which rows of which layer, in which order, and what it holds.

A block's outputs are cut into bands of rows, one per core; a band is cut by images into segments. Inside a segment
every layer produces rows of one image, from `produced.first` to `produced.end`, in steps that a clock drives. The
clock counts rows of the reference output (the block's tallest output), starts at `first - lead` and advances by the
block's `step_rows` until it reaches `end`. At clock `c` the target of a layer is the largest of

* `floor(c * height / reference height)`, at most its last own row, if it is an output of the block, and
* `window.end(target of reader)` for each reader inside the block,

then at most `produced.end`. Targets may lie below `produced.first` (even below zero): then nothing is produced yet.
Layers run in order; each produces the rows from where it stopped up to its target. After the last step every target
equals `produced.end`, because both follow the same recurrence. Code generators emit exactly this recurrence.

Planners ask for thousands of schedules, so that all is kept in arrays, computed by `plans/rows.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dlfusion.layers.layer import Network
from dlfusion.plans.flow import Flow, Ints, Link, block_flow
from dlfusion.plans.memo import NetworkMemo
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.rows import (
    Cut,
    Spans,
    cut_rows,
    find_start,
    longest_segment,
    owned_rows,
    produced_rows,
    progress,
    rows_under_way,
    targets_from,
)

__all__ = ["NO_ROWS", "Flow", "Link", "RowRange", "Schedule", "Segment", "block_flow", "schedule"]


class RowRange(NamedTuple):
    """Rows [first, end) of one image of a value; empty if both are equal."""

    first: int
    end: int

    @property
    def length(self) -> int:
        """How many rows."""
        return self.end - self.first


NO_ROWS = RowRange(0, 0)


class Segment(NamedTuple):
    """The part of a core's band that lies in one image.

    Rows [first, end) are of the reference output. `owned` and `produced` have one entry per layer of the block: the
    rows of an output that this segment stores (no rows for a value that is no output), and the rows it computes.
    """

    core: int
    image: int
    first: int
    end: int
    lead: int
    owned: tuple[RowRange, ...]
    produced: tuple[RowRange, ...]


@dataclass(frozen=True, eq=False)
class Schedule:
    """A block cut over its cores, with the exact height of every line buffer.

    `cut`, `owned`, `produced` and `lead` (segments,) hold as arrays what `segments` lists one by one.
    """

    block: Block
    flow: Flow
    cut: Cut
    owned: Spans
    produced: Spans
    lead: Ints

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments one by one, by core, then by image."""
        numbers = np.stack((*self.cut, self.lead), axis=1).tolist()
        rows = zip(numbers, _ranges(self.owned), _ranges(self.produced), strict=True)
        return tuple(
            Segment(core, image, first, end, lead, owned, produced)
            for (core, image, first, end, lead), owned, produced in rows
        )

    @cached_property
    def step_counts(self) -> Ints:
        """(segments,) steps that each segment takes."""
        counts: Ints = -((self.cut.first - self.cut.end - self.lead) // self.block.step_rows)
        return counts

    @property
    def is_one_step(self) -> bool:
        """Whether every segment is done in one step, each layer after the other."""
        return int(self.step_counts.max(initial=1)) == 1

    @cached_property
    def progress(self) -> Ints:
        """(layers + inputs, segments, entries): one past the last row made, or read from outside, after each step.

        All segments show the same clock (counted from their first row) in the same entry: a segment with a shorter
        lead stays at its first rows for a while, and one with fewer steps at its end. `segment_progress` leaves these
        entries out. Rows of an input are read from the first to the last that any layer needs, each as soon as some
        layer needs it or a later row.
        """
        step = self.block.step_rows
        start = None
        if not self.is_one_step:
            start = targets_from(self.flow, self.cut, self.owned, self.produced, step, self.lead // step)
        return progress(self.flow, self.produced, start)

    @cached_property
    def rows_under_way(self) -> Ints:
        """(layers + inputs,) the most rows, in any step, from the first still read to the last that the step adds.

        Of an input, those that the step adds count twice: one set is worked on while the next arrives. Zero for what
        no layer of the block reads.
        """
        return rows_under_way(self.flow, self.produced, self.progress)

    @cached_property
    def ring_rows(self) -> Mapping[str, int]:
        """Rows that a line buffer must hold, for each value that is both made and read inside the block.

        Exact: with one row less, some step would overwrite a row that is still read or was made in the same step.
        """
        held = self.rows_under_way.tolist()
        return {value: max(1, held[i]) for i, value in enumerate(self.flow.values) if self.flow.links[i]}

    def segment_progress(self, segment: Segment) -> Ints:
        """(layers + inputs, steps + 1): the `progress` of one segment, from before its first step to its last."""
        index, start, end = self.entries[segment.core, segment.image]
        rows: Ints = self.progress[:, index, start:end]
        return rows

    @cached_property
    def entries(self) -> Mapping[tuple[int, int], tuple[int, int, int]]:
        """For each core and image that has a segment: its index, and the range of its own entries of `progress`."""
        starts = (self.lead.max() - self.lead) // self.block.step_rows
        ends = starts + self.step_counts + 1
        ranges = zip(range(len(starts)), starts.tolist(), ends.tolist(), strict=True)
        return dict(zip(zip(self.cut.core.tolist(), self.cut.image.tolist(), strict=True), ranges, strict=True))

    def steps(self, segment: Segment) -> Iterator[tuple[RowRange, ...]]:
        """For each step, the rows that each layer of the block produces."""
        done, *after = self.segment_progress(segment)[: len(self.flow.values)].T.tolist()
        for targets in after:
            yield tuple(RowRange(first, end) for first, end in zip(done, targets, strict=True))
            done = targets


def schedule(network: Network, block: Block) -> Schedule:
    """The row arithmetic of a legal block (`legality.problems` says whether it is)."""
    flow = block_flow(network, block)
    way = (flow.reference_height, flow.images, block.cores, block.partition)
    cut = cut_rows(*way)
    key = (block.first, block.last, block.cores, block.partition)
    owned, produced = _SPANS.get(network, key, lambda: _spans(flow, cut))
    if block.step_rows >= longest_segment(*way):
        return Schedule(block, flow, cut, owned, produced, np.zeros_like(cut.core))
    start = find_start(flow, cut, owned, produced, block.step_rows)
    made = Schedule(block, flow, cut, owned, produced, start.lead_steps * block.step_rows)
    # Looking for the start gave all targets; a cached property takes what stands under its name.
    made.__dict__["progress"] = progress(flow, produced, start)
    return made


_SPANS: NetworkMemo[tuple[int, int, int, Partition], tuple[Spans, Spans]] = NetworkMemo(capacity=256)
"""Rows owned and produced do not depend on the step: planners ask for several steps of the same cut."""


def _spans(flow: Flow, cut: Cut) -> tuple[Spans, Spans]:
    """The rows that the segments own and produce; shared, so they cannot be written to."""
    owned = owned_rows(flow, cut)
    produced = produced_rows(flow, owned)
    for rows in (*owned, *produced):
        rows.flags.writeable = False
    return owned, produced


def _ranges(spans: Spans) -> list[tuple[RowRange, ...]]:
    """For each segment, the rows of each layer."""
    pairs = np.stack(spans, axis=2).transpose(1, 0, 2).tolist()
    return [tuple(RowRange(first, end) for first, end in of_segment) for of_segment in pairs]
