"""The row arithmetic of `plans/schedule.py` on arrays: all segments and all steps of a block at once.

Axes are always layers (then inputs), segments, steps. The recurrence itself is stated in `plans/schedule.py`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from dlfusion.plans.flow import Flow, Ints
from dlfusion.plans.plan import Partition

_NEVER = 1 << 40
"""Beyond every row number, yet so small that no product with a stride overflows."""

_LONG_AGO = 1 << 20
"""Rows before a segment at which every target has reached its lowest meaningful value."""


class Cut(NamedTuple):
    """Non-empty segments by core, then by image, (segments,) each; rows [first, end) are of the reference output."""

    core: Ints
    image: Ints
    first: Ints
    end: Ints


class Spans(NamedTuple):
    """Rows [first, end) of each layer, (layers, segments) each; both are 0 where there are none."""

    first: Ints
    end: Ints


@lru_cache(maxsize=4096)
def cut_rows(height: int, images: int, cores: int, partition: Partition) -> Cut:
    """The rows of `images` images of `height` rows each, divided over the cores as evenly as possible."""
    total = height * images
    found = []
    for core in range(cores):
        first, end = 0, total
        if partition is Partition.ROWS:
            first, end = total * core // cores, total * (core + 1) // cores
        for image in range(first // height, (end + height - 1) // height):
            a, b = max(first - image * height, 0), min(end - image * height, height)
            if a < b:
                found.append((core, image, a, b))
    columns = np.array(found, np.int64).reshape(-1, 4).T.copy()
    columns.flags.writeable = False
    return Cut(columns[0], columns[1], columns[2], columns[3])


@lru_cache(maxsize=4096)
def longest_segment(height: int, images: int, cores: int, partition: Partition) -> int:
    """The most rows that a segment of `cut_rows` has: a step of as many rows or more does every segment at once."""
    cut = cut_rows(height, images, cores, partition)
    return int((cut.end - cut.first).max())


def owned_rows(flow: Flow, cut: Cut) -> Spans:
    """The rows of each output that a segment stores."""
    rows = np.array((cut.first, cut.end))[:, None] * flow.output_heights
    rows //= flow.reference_height
    return Spans(rows[0], rows[1])


def produced_rows(flow: Flow, owned: Spans) -> Spans:
    """The rows each layer must compute: what the segment owns and what its readers' rows reach, in one range."""
    # Both ends as smallest numbers, (first, -last), so that one minimum unites ranges. No rows: (_NEVER, _NEVER).
    spans = np.stack((owned.first, 1 - owned.end), axis=1)
    gaps = not flow.always_reads or flow.has_short_outputs
    if gaps:
        np.copyto(spans, _NEVER, where=(owned.first >= owned.end)[:, None])
    for i in reversed(range(len(flow.values))):
        for linked, (reader, window) in enumerate(flow.links[i]):
            reach = spans[reader] * window.multiplier
            reach += flow.link_offsets[i][linked]
            if window.divisor > 1:
                np.floor_divide(reach[0], window.divisor, out=reach[0])
                np.negative(-reach[1] // window.divisor, out=reach[1])
            np.maximum(reach, flow.lowest_rows[i], out=reach)
            np.minimum(reach, flow.highest_rows[i], out=reach)
            if gaps:
                none = (spans[reader, 0] == _NEVER) | (reach[0] + reach[1] > 0)
                reach[:, none] = _NEVER
            if linked or flow.is_output[i]:
                np.minimum(spans[i], reach, out=spans[i])
            else:
                spans[i] = reach
    first, end = spans[:, 0], 1 - spans[:, 1]
    if gaps:
        none = first == _NEVER
        first, end = np.where(none, 0, first), np.where(none, 0, end)
    return Spans(first, end)


def targets(flow: Flow, owned: Spans, produced: Spans, clock: Ints) -> Ints:
    """(layers, segments, steps) targets at clock values (segments, steps), not yet bounded from below."""
    ends = produced.end[:, :, None]
    found = np.empty((len(flow.values), *clock.shape), np.int64)
    for i in reversed(range(len(flow.values))):
        target = found[i]
        height = flow.heights[i]
        if flow.is_output[i]:
            due = clock if height == flow.reference_height else clock * height // flow.reference_height
            np.minimum(due, owned.end[i][:, None], out=target)
        else:
            target.fill(-_NEVER)
        for reader, window in flow.links[i]:
            needed = found[reader] * window.multiplier
            needed += window.last_offset - window.multiplier
            if window.divisor > 1:
                needed //= window.divisor
            needed += 1
            np.maximum(target, needed, out=target)
        np.minimum(target, ends[i], out=target)
    return found


class Start(NamedTuple):
    """How many steps before its first row each segment starts, (segments,), and targets from `before` steps before."""

    lead_steps: Ints
    before: int
    targets: Ints


def find_start(flow: Flow, cut: Cut, owned: Spans, produced: Spans, step: int) -> Start:
    """The latest clock, in whole steps before a segment's first row, at which there is nothing to be done yet.

    A segment that is no longer than a step starts at its first row and does all in that step. Rows that are read from
    the very start (a reader with a constant window) do not count as something to be done: no clock is early enough.
    """
    whole = step >= cut.end - cut.first
    before = 3 + 2 * len(flow.values) // step
    idle = produced.first[:, :, None]
    if flow.reads_everything:
        long_ago = (cut.first - _LONG_AGO)[:, None]
        idle = np.maximum(idle, targets(flow, owned, produced, long_ago))
    while True:
        found = targets(flow, owned, produced, _clock(cut, step, before))
        # Targets never fall as the clock advances, so that what is busy is in one piece.
        busy = (found[:, :, : before + 1] > idle).any(axis=0).sum(axis=1)
        busy[whole] = 0
        if busy.max() <= before:
            return Start(busy, before, found)
        before *= 4


def _clock(cut: Cut, step: int, before: int) -> Ints:
    """(segments, steps) clock values from `before` steps before each segment's first row to the last step of all."""
    steps = -int((cut.first - cut.end).min() // step)
    return cut.first[:, None] + np.arange(-before * step, steps * step + 1, step)


def progress(flow: Flow, produced: Spans, start: Start | None) -> Ints:
    """What `Schedule.progress` is; without `start`, every segment takes one step."""
    if start is None:
        rows = np.empty((len(flow.values) + len(flow.inputs), produced.first.shape[1], 2), np.int64)
        rows[: len(flow.values), :, 0] = produced.first
        rows[: len(flow.values), :, 1] = produced.end
    else:
        most = int(start.lead_steps.max())
        found = start.targets[:, :, start.before - most :]
        rows = np.empty((len(flow.values) + len(flow.inputs), *found.shape[1:]), np.int64)
        layers = rows[: len(flow.values)]
        np.maximum(found, produced.first[:, :, None], out=layers)
        waiting = np.arange(found.shape[2]) <= most - start.lead_steps[:, None]
        np.copyto(layers, produced.first[:, :, None], where=waiting)
    _input_progress(flow, produced, rows)
    return rows


def targets_from(flow: Flow, cut: Cut, owned: Spans, produced: Spans, step: int, lead_steps: Ints) -> Start:
    """The targets of segments that start as many steps before their first rows as given."""
    before = int(lead_steps.max())
    return Start(lead_steps, before, targets(flow, owned, produced, _clock(cut, step, before)))


def _input_progress(flow: Flow, produced: Spans, rows: Ints) -> None:
    """Fill in, after the layers' rows, how far each input has been read."""
    reads = flow.input_reads
    made = rows.take(reads.reader, axis=0)
    start = made[:, :, :1]
    first = np.maximum(reads.first_rows(start), 0)
    top = np.minimum(reads.end_rows(made), flow.input_height_column)
    np.copyto(top, -_NEVER, where=made <= start)
    if not reads.one_each:
        idle = (produced.first == produced.end).take(reads.reader, axis=0)
        np.copyto(first, _NEVER, where=idle[:, :, None])
        first = np.minimum.reduceat(first, reads.starts, axis=0)
        np.copyto(first, 0, where=first == _NEVER)
        top = np.maximum.reduceat(top, reads.starts, axis=0)
    np.maximum(top, first, out=rows[len(flow.values) :])


def rows_under_way(flow: Flow, produced: Spans, progress: Ints) -> Ints:
    """What `Schedule.rows_under_way` is."""
    reads = flow.all_reads
    before, after = progress[:, :, :-1], progress[:, :, 1:]
    at = before.take(reads.reader, axis=0)
    lowest = reads.first_rows(at)
    np.maximum(lowest, 0, out=lowest)
    np.copyto(lowest, _NEVER, where=at >= produced.end.take(reads.reader, axis=0)[:, :, None])
    if not reads.one_each:
        lowest = np.minimum.reduceat(lowest, reads.starts, axis=0)
    top = after.take(reads.sources, axis=0)
    earlier = before.take(reads.sources, axis=0)
    np.minimum(lowest, earlier, out=lowest)
    added = top - earlier
    held = top - lowest
    inputs = len(reads.sources) - len(flow.inputs)
    held[inputs:] += added[inputs:]
    held *= added > 0
    rows = np.zeros(len(progress), np.int64)
    rows[reads.sources] = held.reshape(len(held), -1).max(axis=1)
    return rows
