"""A slow, plain run of a block's schedule, row by row, in line buffers of given heights."""

from collections.abc import Mapping

from dlfusion.layers.layer import Network
from dlfusion.plans.schedule import Schedule, Segment


class ScheduleError(Exception):
    """A row is read that is not there, or two rows made at once share a slot."""


def simulate(network: Network, schedule: Schedule, ring_rows: Mapping[str, int]) -> dict[tuple[str, int, int], int]:
    """How often each row of each output (value, image, row) is stored.

    Raises:
        ScheduleError: some step reads a row that was never made or is overwritten.
    """
    stored: dict[tuple[str, int, int], int] = {}
    for segment in schedule.segments:
        _segment(network, schedule, segment, ring_rows, stored)
    return stored


def _segment(
    network: Network,
    schedule: Schedule,
    segment: Segment,
    ring_rows: Mapping[str, int],
    stored: dict[tuple[str, int, int], int],
) -> None:
    slots: dict[str, dict[int, int]] = {value: {} for value in ring_rows}
    layers = [network.layers[index] for index in schedule.block.layers]
    for step in targets_by_definition(schedule, segment):
        for layer, owned, (first, end) in zip(layers, segment.owned, step, strict=True):
            value = layer.output
            if value in slots and end - first > ring_rows[value]:
                raise ScheduleError(f"{value}: {end - first} rows at once in {ring_rows[value]} slots")
            for read in layer.reads:
                if read.value in slots and end > first:
                    low = max(read.rows.first(first), 0)
                    high = min(read.rows.end(end), network.shape(read.value)[2])
                    for row in range(low, high):
                        if slots[read.value].get(row % ring_rows[read.value]) != row:
                            raise ScheduleError(f"{value} rows [{first}, {end}) read missing row {row} of {read.value}")
            for row in range(first, end):
                if value in slots:
                    slots[value][row % ring_rows[value]] = row
                if owned.first <= row < owned.end:
                    key = (value, segment.image, row)
                    stored[key] = stored.get(key, 0) + 1


def targets_by_definition(schedule: Schedule, segment: Segment) -> list[list[tuple[int, int]]]:
    """Rows [first, end) that each layer makes in each step, by the words of `plans/schedule.py`, number by number."""
    flow, step = schedule.flow, schedule.block.step_rows
    count = len(flow.values)
    done = [rows.first for rows in segment.produced]
    clock = segment.first - segment.lead
    steps = []
    while clock < segment.end:
        clock += step
        targets = [0] * count
        for i in reversed(range(count)):
            wanted = [link.window.end(targets[link.reader]) for link in flow.links[i]]
            if flow.is_output[i]:
                wanted.append(min(clock * flow.heights[i] // flow.reference_height, segment.owned[i].end))
            targets[i] = min(max(wanted), segment.produced[i].end)
        made = [(first, max(first, target)) for first, target in zip(done, targets, strict=True)]
        done = [end for _, end in made]
        steps.append(made)
    return steps


def input_rows_by_definition(network: Network, schedule: Schedule, segment: Segment) -> dict[str, int]:
    """How many rows of each of the block's inputs a segment reads: from the first to the last that any layer needs."""
    spans: dict[str, tuple[int, int]] = {}
    for index, rows in zip(schedule.block.layers, segment.produced, strict=True):
        for read in network.layers[index].reads:
            if read.value in schedule.flow.inputs and rows.length:
                height = network.shape(read.value)[2]
                first, end = max(read.rows.first(rows.first), 0), min(read.rows.end(rows.end), height)
                known_first, known_end = spans.get(read.value, (first, end))
                spans[read.value] = (min(first, known_first), max(end, known_end))
    return {value: max(end - first, 0) for value, (first, end) in spans.items()}
