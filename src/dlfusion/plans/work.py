"""What each core does in one run of a block: operations, bytes from and to the memory that cores share, steps.

Cost models, simulators and legality all count with these functions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm, output_tile, weight_bytes, winograd_work
from dlfusion.layers.layer import Layer, Network
from dlfusion.plans.flow import Ints
from dlfusion.plans.memo import NetworkMemo
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import Schedule, Segment


@dataclass(frozen=True, eq=False)
class Work:
    """What the cores do; the last axis of every array has one entry per core.

    Attributes:
        operations: of each layer of the block (first axis), rows that another core computes too included. Of a layer
            that is computed in tiles only the products count, those of all tile rows: a call for n rows takes n / m
            tile rows of m rows, rounded up, from the first row that it is asked for.
        input_bytes: rows of the block's inputs that the core reads, from the first to the last, each once.
        output_bytes: rows of the block's outputs that the core writes.
        weight_bytes: weights that the core fetches: all of the block's (its share of them with the channels partition)
            once if they fit into its weight buffer, else in every step; as the block's algorithms store them.
        inner_bytes: rows that the core writes into line buffers.
        steps: passes down the core's band, over all of its images.
    """

    operations: NDArray[np.float64]
    input_bytes: NDArray[np.int64]
    output_bytes: NDArray[np.int64]
    weight_bytes: NDArray[np.int64]
    inner_bytes: NDArray[np.int64]
    steps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StepRows:
    """What one segment does in each of its steps (last axis).

    Attributes:
        produced: (layers, steps) rows that each layer computes.
        arrived: (inputs, steps) new rows of each of the block's inputs that the step reads.
        stored: (outputs, steps) rows of each of the block's outputs that are ready to be written after the step.
        operations: (layers, steps), of the segment's core.
        input_bytes: (steps,) bytes of `arrived`.
        output_bytes: (steps,) bytes of `stored`; with the channels partition, of the core's channels only.
    """

    produced: NDArray[np.int64]
    arrived: NDArray[np.int64]
    stored: NDArray[np.int64]
    operations: NDArray[np.float64]
    input_bytes: NDArray[np.int64]
    output_bytes: NDArray[np.int64]


def work(network: Network, schedule: Schedule, weight_buffer_bytes: int, element_bytes: int = FLOAT_BYTES) -> Work:
    """What each core does in one run of the block.

    With the channels partition, core k of c has the output channels [C * k // c, C * (k + 1) // c): this share of the
    operations, weights and output, but all of the input.
    """
    sizes = _sizes(network, schedule)
    layers = len(schedule.flow.values)
    progress, owned = schedule.progress, schedule.owned
    produced = _by_core(schedule, schedule.produced.end - schedule.produced.first)
    arrived = _by_core(schedule, progress[layers:, :, -1] - progress[layers:, :, 0])
    stored = _by_core(schedule, (owned.end - owned.first)[sizes.outputs])
    steps = _by_core(schedule, schedule.step_counts)
    computed = produced if sizes.tiles is None else _by_core(schedule, _computed(schedule.progress[:layers], sizes))
    operations = sizes.operations * computed / sizes.rows
    outputs = sizes.output_elements @ stored * element_bytes
    weights = sizes.weight_elements * element_bytes
    if schedule.block.partition is Partition.CHANNELS:
        first, end = _channels(schedule, sizes)
        channels = sizes.channels
        operations = operations * (end - first) / channels
        outputs = outputs // channels * (end - first)
        own_weights = _share(sizes.weight_elements, first, end, channels) * element_bytes
    else:
        own_weights = np.full(schedule.block.cores, weights, np.int64)
    return Work(
        operations=operations,
        input_bytes=sizes.input_elements @ arrived * element_bytes,
        output_bytes=outputs,
        weight_bytes=np.where(own_weights <= weight_buffer_bytes, own_weights, own_weights * steps),
        inner_bytes=sizes.inner_elements @ produced * element_bytes,
        steps=steps,
    )


def on_chip_bytes(network: Network, schedule: Schedule, element_bytes: int = FLOAT_BYTES) -> int:
    """The most bytes of activations that one core holds at once if transfers go on beside the arithmetic.

    Line buffers; of each input of the block the rows that later steps still read and, twice, those that a step adds
    (one set is worked on while the next arrives); of each output twice the rows of a step.
    """
    sizes = _sizes(network, schedule)
    layers = len(schedule.flow.values)
    rows = schedule.rows_under_way
    inner = int(sizes.inner_elements @ np.maximum(rows[:layers], 1))
    inputs = int(sizes.input_elements @ rows[layers:])
    outputs = sizes.output_elements
    if schedule.block.partition is Partition.CHANNELS:
        first, end = _channels(schedule, sizes)
        outputs = outputs // sizes.channels * int((end - first).max())
    stored = _stored(schedule, sizes, schedule.progress).max(axis=(1, 2))
    return (inner + inputs + 2 * int(outputs @ stored)) * element_bytes


def step_rows_of(network: Network, schedule: Schedule, segment: Segment, element_bytes: int = FLOAT_BYTES) -> StepRows:
    """What one segment does in each of its steps; sums over steps and over a core's segments are those of `work`."""
    sizes = _sizes(network, schedule)
    layers = len(schedule.flow.values)
    progress = schedule.segment_progress(segment)
    rows = progress[:, 1:] - progress[:, :-1]
    index = schedule.entries[segment.core, segment.image][0]
    stored = _stored(schedule, sizes, progress[:, None], slice(index, index + 1))[:, 0]
    computed = rows[:layers] if sizes.tiles is None else -(-rows[:layers] // sizes.tiles[:, None])
    operations = sizes.operations * computed / sizes.rows
    outputs = sizes.output_elements @ stored * element_bytes
    if schedule.block.partition is Partition.CHANNELS:
        first, end = _channels(schedule, sizes)
        share = int((end - first)[segment.core])
        operations = operations * share / sizes.channels
        outputs = outputs // sizes.channels * share
    inputs = sizes.input_elements @ rows[layers:] * element_bytes
    return StepRows(rows[:layers], rows[layers:], stored, operations, inputs, outputs)


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Numbers that depend on a block's layers and algorithms; elements are of one row of all channels of one image."""

    operations: NDArray[np.float64]  # (layers, 1) of the whole layer
    rows: NDArray[np.float64]  # (layers, 1) of all images; tile rows where a layer is computed in tiles
    tiles: Ints | None  # (layers,) rows of a tile row, 1 for the direct method; None if all layers are direct
    inner_elements: Ints  # (layers,) 0 for values without readers in the block
    input_elements: Ints  # (inputs,)
    output_elements: Ints  # (outputs,)
    outputs: Ints  # (outputs,) their positions among the layers
    weight_elements: int
    channels: int  # output channels of the last layer


def _sizes(network: Network, schedule: Schedule) -> _Sizes:
    block = schedule.block
    return _SIZES.get(network, (block.first, block.last, block.algorithms), lambda: _make_sizes(network, schedule))


_SIZES: NetworkMemo[tuple[int, int, tuple[tuple[int, str], ...]], _Sizes] = NetworkMemo(capacity=2048)


def _make_sizes(network: Network, schedule: Schedule) -> _Sizes:
    flow = schedule.flow
    layers = [network.layers[index] for index in schedule.block.layers]
    names = [schedule.block.algorithm(index) for index in schedule.block.layers]
    tiles = [output_tile(name) for name in names]
    shapes = [network.shape(value) for value in flow.values]
    rows = [[shape[0] * -(-shape[2] // of_tile)] for shape, of_tile in zip(shapes, tiles, strict=True)]
    ways = list(zip(layers, names, strict=True))
    inner = [_row_elements(network, v) if links else 0 for v, links in zip(flow.values, flow.links, strict=True)]
    return _Sizes(
        operations=np.array([[_operations(network, *way)] for way in ways], np.float64),
        rows=np.array(rows, np.float64),
        tiles=np.array(tiles, np.int64) if max(tiles) > 1 else None,
        inner_elements=np.array(inner, np.int64),
        input_elements=np.array([_row_elements(network, value) for value in flow.inputs], np.int64),
        output_elements=np.array([_row_elements(network, value) for value in flow.outputs], np.int64),
        outputs=flow.output_positions,
        weight_elements=sum(weight_bytes(network, *way) for way in ways) // FLOAT_BYTES,
        channels=layers[-1].features.output_channels,
    )


def _operations(network: Network, layer: Layer, algorithm: str) -> int:
    if algorithm == Algorithm.DIRECT:
        return layer.features.operations
    return winograd_work(network, layer, Algorithm(algorithm)).products


def _computed(progress: Ints, sizes: _Sizes) -> Ints:
    """(layers, segments) rows, or tile rows, that all calls of each layer compute."""
    assert sizes.tiles is not None
    rows: Ints = progress[:, :, 1:] - progress[:, :, :-1]
    calls: Ints = -(-rows // sizes.tiles[:, None, None])
    total: Ints = calls.sum(axis=2)
    return total


def _row_elements(network: Network, value: str) -> int:
    _, channels, _, width = network.shape(value)
    return channels * width


def _by_core(schedule: Schedule, of_segments: Ints) -> Ints:
    """Sums over the segments (last axis) of each core."""
    cores = schedule.block.cores
    if of_segments.shape[-1] == cores and schedule.flow.images == 1:
        return of_segments
    totals = np.zeros((cores, *of_segments.shape[:-1]), np.int64)
    np.add.at(totals, schedule.cut.core, of_segments.T)
    return totals.T


def _stored(schedule: Schedule, sizes: _Sizes, progress: Ints, segments: slice = slice(None)) -> Ints:
    """(outputs, segments, steps) rows of each output that belong to the segment and are made in the step."""
    first = schedule.owned.first[sizes.outputs, segments, None]
    end = schedule.owned.end[sizes.outputs, segments, None]
    ready = np.minimum(progress[sizes.outputs], end)
    np.maximum(ready, first, out=ready)
    made: Ints = ready[:, :, 1:] - ready[:, :, :-1]
    return made


def _channels(schedule: Schedule, sizes: _Sizes) -> tuple[Ints, Ints]:
    """(cores,) first and end of the output channels of each core."""
    cores = schedule.block.cores
    bounds = sizes.channels * np.arange(cores + 1) // cores
    return bounds[:-1], bounds[1:]


def _share(total: int, first: Ints, end: Ints, channels: int) -> Ints:
    """Each core's part of `total`; the parts add up to it even if it is no multiple of the channels."""
    return total * end // channels - total * first // channels
