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
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlfusion.layers.layer import Network
from dlfusion.ops.window import Window
from dlfusion.plan.plan import Block, Partition

Ints = NDArray[np.int64]


class RowRange(NamedTuple):
    """Rows [first, end) of one image of a value; empty if both are equal."""

    first: int
    end: int

    @property
    def length(self) -> int:
        """How many rows."""
        return self.end - self.first


NO_ROWS = RowRange(0, 0)


class Link(NamedTuple):
    """A read inside the block: layer at position `reader` of the block reads rows `window` of this layer's output."""

    reader: int
    window: Window


@dataclass(frozen=True)
class Flow:
    """What a block computes, apart from how it is cut; all tuples have one entry per layer of the block, in order."""

    values: tuple[str, ...]
    heights: tuple[int, ...]
    is_output: tuple[bool, ...]
    links: tuple[tuple[Link, ...], ...]
    inputs: tuple[str, ...]
    images: int
    reference: int

    @property
    def reference_height(self) -> int:
        """Rows of one image of the reference output."""
        return self.heights[self.reference]

    @property
    def reference_rows(self) -> int:
        """Rows of all images of the reference output: what bands are cut from."""
        return self.images * self.reference_height

    @property
    def outputs(self) -> tuple[str, ...]:
        """Values that are read after the block or are outputs of the model."""
        return tuple(value for value, out in zip(self.values, self.is_output, strict=True) if out)


@dataclass(frozen=True)
class Segment:
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


@dataclass(frozen=True)
class Schedule:
    """A block cut over its cores, with the exact height of every line buffer."""

    block: Block
    flow: Flow
    segments: tuple[Segment, ...]

    @cached_property
    def ring_rows(self) -> Mapping[str, int]:
        """Rows that a line buffer must hold, for each value that is both made and read inside the block.

        Exact: with one row less, some step would overwrite a row that is still read or was made in the same step.
        """
        rows = {value: 1 for value, links in zip(self.flow.values, self.flow.links, strict=True) if links}
        for segment in self.segments:
            for value, held in _rows_held(self.flow, segment, tops(self.flow, segment, self.block.step_rows)).items():
                rows[value] = max(rows[value], held)
        return rows

    def steps(self, segment: Segment) -> Iterator[tuple[RowRange, ...]]:
        """For each step, the rows that each layer of the block produces."""
        done = [rows.first for rows in segment.produced]
        for targets in tops(self.flow, segment, self.block.step_rows).T.tolist():
            yield tuple(RowRange(first, end) for first, end in zip(done, targets, strict=True))
            done = targets


def schedule(network: Network, block: Block) -> Schedule:
    """The row arithmetic of a legal block (`legality.problems` says whether it is)."""
    flow = block_flow(network, block)
    segments = []
    for core, image, first, end in _bands(flow, block):
        owned = _owned(flow, first, end)
        produced = _produced(flow, owned)
        lead = 0 if block.step_rows >= end - first else _lead(flow, owned, produced, first, block.step_rows)
        segments.append(Segment(core, image, first, end, lead, owned, produced))
    return Schedule(block, flow, tuple(segments))


def block_flow(network: Network, block: Block) -> Flow:
    """The values of a block and how its layers read each other."""
    layers = [network.layers[index] for index in block.layers]
    position = {layer.output: i for i, layer in enumerate(layers)}
    links: list[list[Link]] = [[] for _ in layers]
    inputs: dict[str, None] = {}
    for reader, layer in enumerate(layers):
        for read in layer.reads:
            if read.value in position:
                links[position[read.value]].append(Link(reader, read.rows))
            else:
                inputs[read.value] = None
    model_outputs = {port.value for port in network.graph.outputs}
    values = tuple(layer.output for layer in layers)
    heights = tuple(network.shape(value)[2] for value in values)
    is_output = tuple(v in model_outputs or network.consumers.get(v, (0,))[-1] > block.last for v in values)
    reference = max((height, i) for i, height in enumerate(heights) if is_output[i])[1]
    images = network.shape(values[reference])[0]
    linked = tuple(tuple(dict.fromkeys(of_value)) for of_value in links)
    return Flow(values, heights, is_output, linked, tuple(inputs), images, reference)


def _bands(flow: Flow, block: Block) -> Iterator[tuple[int, int, int, int]]:
    """(core, image, first row, end row) of every non-empty segment, by core, then by image."""
    height, total = flow.reference_height, flow.reference_rows
    for core in range(block.cores):
        first, end = 0, total
        if block.partition is Partition.ROWS:
            first, end = total * core // block.cores, total * (core + 1) // block.cores
        for image in range(first // height, (end + height - 1) // height):
            start = image * height
            a, b = max(first - start, 0), min(end - start, height)
            if a < b:
                yield core, image, a, b


def _owned(flow: Flow, first: int, end: int) -> tuple[RowRange, ...]:
    """The rows of each output that the segment of reference rows [first, end) stores."""
    reference = flow.reference_height
    shares = (RowRange(first * height // reference, end * height // reference) for height in flow.heights)
    return tuple(share if out else NO_ROWS for share, out in zip(shares, flow.is_output, strict=True))


def _produced(flow: Flow, owned: tuple[RowRange, ...]) -> tuple[RowRange, ...]:
    """The rows each layer must compute: what the segment owns and what its readers' rows reach, in one range."""
    produced = [NO_ROWS] * len(owned)
    for i in reversed(range(len(owned))):
        wanted = [owned[i]] if owned[i].length else []
        for reader, window in flow.links[i]:
            rows = produced[reader]
            if rows.length:
                first = min(max(window.first(rows.first), 0), flow.heights[i])
                end = max(min(window.end(rows.end), flow.heights[i]), 0)
                wanted += [RowRange(first, end)] if first < end else []
        if wanted:
            produced[i] = RowRange(min(rows.first for rows in wanted), max(rows.end for rows in wanted))
    return tuple(produced)


def _targets(flow: Flow, owned: tuple[RowRange, ...], produced: tuple[RowRange, ...], clock: Ints) -> Ints:
    """Targets of all layers (first axis) at several clock values (second axis), not yet bounded from below."""
    targets = np.empty((len(owned), clock.size), np.int64)
    for i in reversed(range(len(owned))):
        target = np.full(clock.size, _UNSET)
        if flow.is_output[i]:
            target = np.minimum(clock * flow.heights[i] // flow.reference_height, owned[i].end)
        for reader, window in flow.links[i]:
            needed = ((targets[reader] - 1) * window.multiplier + window.last_offset) // window.divisor + 1
            target = np.maximum(target, needed)
        targets[i] = np.minimum(target, produced[i].end)
    return targets


def _lead(flow: Flow, owned: tuple[RowRange, ...], produced: tuple[RowRange, ...], first: int, step: int) -> int:
    """The smallest multiple of `step` such that nothing is to be done at clock `first - lead`.

    Rows that are read from the very start (a reader with a constant window) do not count: no clock is early enough.
    """
    starts = np.array([rows.first for rows in produced])[:, None]
    long_ago = np.array([first - _LONG_AGO])
    idle = np.maximum(starts, _targets(flow, owned, produced, long_ago))
    count = 16
    while True:
        clock = first - step * np.arange(count)
        quiet = (_targets(flow, owned, produced, clock) <= idle).all(axis=0)
        if quiet.any():
            return int(np.argmax(quiet)) * step
        count *= 4


_UNSET = np.iinfo(np.int64).min

_LONG_AGO = 1 << 20
"""Rows before a segment at which every target has reached its lowest meaningful value."""


def tops(flow: Flow, segment: Segment, step_rows: int) -> Ints:
    """For each layer of the block (first axis) and each step: one past the last row it has produced after the step."""
    clock = np.arange(segment.first - segment.lead + step_rows, segment.end + step_rows, step_rows)
    targets = _targets(flow, segment.owned, segment.produced, clock)
    starts = np.array([rows.first for rows in segment.produced])
    done: Ints = np.maximum(targets, starts[:, None])
    return done


def _rows_held(flow: Flow, segment: Segment, done: Ints) -> dict[str, int]:
    """The most rows of each value with readers in the block that must exist at once, over all steps of a segment."""
    starts = np.array([rows.first for rows in segment.produced])[:, None]
    before = np.concatenate([starts, done[:, :-1]], axis=1)
    held = {}
    for i, links in enumerate(flow.links):
        lowest = before[i].copy()
        for reader, window in links:
            next_read = (before[reader] * window.multiplier + window.first_offset) // window.divisor
            still_reads = before[reader] < segment.produced[reader].end
            lowest = np.where(still_reads, np.minimum(lowest, np.maximum(next_read, 0)), lowest)
        if links:
            rows = np.where(done[i] > before[i], done[i] - lowest, 0)
            held[flow.values[i]] = int(rows.max())
    return held
