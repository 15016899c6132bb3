"""A block cut into tiles: what each core loads, computes and stores, one tile after the other.

A tile is a step of the schedule, with two exceptions.

* A step that fetches weights is cut by them: they travel in slices of one layer each and of at most half of the weight
  buffer, so that a slice arrives while the one before it is worked on. Weights that fit into the weight buffer are
  fetched in a core's first step and stay; others are fetched in every step.
* The steps of a block of one layer that do not fit into the buffer are cut along the columns, into equal parts.

Where both apply to a layer alone, its steps have the larger of the two numbers of tiles: what has to be fetched twice
for want of space is not counted by the row arithmetic (`plans.work`), so it is not played either. In a block of several
layers a step's rows of input arrive with its first tile, and its rows of output leave with its last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import Schedule
from dlfusion.plans.work import StepRows, on_chip_bytes, step_rows_of, work
from dlfusion.targets.simulated.arithmetic import LayerCost

Floats = NDArray[np.float64]

CostOf = Callable[[int, int | None], LayerCost]
"""The cost of the layer of an index for a core that computes so many of its output channels (None: all)."""


@dataclass(frozen=True, slots=True)
class CoreTiles:
    """What one core does, one entry per tile: bytes that it loads, bytes that it stores, and seconds of arithmetic.

    `operations` is the sum over all tiles. `own_weights` are bytes of all weights that the core needs, each once, and
    `step_slices` is how many of the tiles of a step that fetches them load some: with the rows partition, equal numbers
    on all cores are equal weights.
    """

    inputs: tuple[float, ...]
    weights: tuple[float, ...]
    seconds: tuple[float, ...]
    outputs: tuple[float, ...]
    operations: float
    own_weights: int
    step_slices: int

    @property
    def count(self) -> int:
        """How many tiles."""
        return len(self.seconds)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of one core: (layers, steps) seconds and whether a layer is at work, (steps,) bytes, all operations."""

    seconds: Floats
    at_work: NDArray[np.bool_]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    operations: float


_NO_LIMIT = 1 << 62


def core_tiles(network: Network, schedule: Schedule, machine: Accelerator, cost_of: CostOf) -> tuple[CoreTiles, ...]:
    """The tiles of every core of a legal block."""
    block = schedule.block
    columns = 1
    if block.first == block.last:
        columns = max(1, ceil(on_chip_bytes(network, schedule, machine.element_bytes) / machine.buffer_bytes))
    # With a weight buffer without end, each core fetches its weights once: all that it needs.
    weights = work(network, schedule, _NO_LIMIT, machine.element_bytes).weight_bytes.tolist()
    segments: list[list[StepRows]] = [[] for _ in weights]
    for segment in schedule.segments:
        segments[segment.core].append(step_rows_of(network, schedule, segment, machine.element_bytes))
    # Bands in the middle of an image are mostly alike, and worked out once.
    known: dict[tuple[object, ...], CoreTiles] = {}
    cores = []
    for core, (own_weights, rows) in enumerate(zip(weights, segments, strict=True)):
        outputs: int | None = None
        if block.partition is Partition.CHANNELS:
            channels = network.layers[block.first].features.output_channels
            outputs = channels * (core + 1) // block.cores - channels * core // block.cores
        key = (outputs, own_weights, *(_content(part) for part in rows))
        if key not in known:
            costs = [cost_of(index, outputs) for index in block.layers]
            known[key] = _core(machine, costs, _steps(rows, costs), own_weights, columns)
        cores.append(known[key])
    return tuple(cores)


def _content(rows: StepRows) -> tuple[bytes, ...]:
    """All that a segment's tiles depend on: equal for equal segments."""
    return rows.produced.tobytes(), rows.input_bytes.tobytes(), rows.output_bytes.tobytes()


def _steps(segments: list[StepRows], costs: list[LayerCost]) -> _Steps:
    """A core's steps, over all of its segments."""
    produced = np.concatenate([rows.produced for rows in segments], axis=1)
    return _Steps(
        produced * np.array([[cost.row_seconds] for cost in costs]),
        produced > 0,
        np.concatenate([rows.input_bytes for rows in segments]),
        np.concatenate([rows.output_bytes for rows in segments]),
        float(sum(rows.operations.sum() for rows in segments)),
    )


def _core(machine: Accelerator, costs: list[LayerCost], steps: _Steps, weights: int, columns: int) -> CoreTiles:
    """The tiles of a core that needs so many bytes of weights, and whose steps are cut into so many parts."""
    count = steps.inputs.size
    fetching = 0 if not weights else min(1, count) if weights <= machine.weight_buffer_bytes else count
    fetch, rest = slice(0, fetching), slice(fetching, None)
    half = machine.weight_buffer_bytes / 2
    if len(costs) == 1:
        step_slices = max(ceil(weights / half), columns)
        first = _alone(steps, fetch, step_slices, columns, weights, machine)
        then = _alone(steps, rest, columns, columns, 0, machine)
    else:
        slices = [ceil(cost.weight_bytes / half) for cost in costs]
        step_slices = sum(slices)
        first = _by_slices(steps, fetch, slices, costs, machine)
        then = _whole(steps, rest, machine)
    tiles = np.concatenate([first, then], axis=1)
    # Steps in which a core has nothing to do yet cost nothing.
    inputs, fetched, seconds, stored = (tuple(row) for row in tiles[:, tiles.any(axis=0)].tolist())
    return CoreTiles(inputs, fetched, seconds, stored, steps.operations, weights, step_slices)


def _alone(steps: _Steps, chosen: slice, tiles: int, columns: int, weights: int, machine: Accelerator) -> Floats:
    """Steps of a layer alone, each cut into equal tiles; the input arrives with the first `columns` of them.

    Rows of the result: bytes of input, bytes of weights, seconds, bytes of output; one column per tile.
    """
    seconds, at_work = steps.seconds[0, chosen], steps.at_work[0, chosen]
    made = np.zeros((4, seconds.size, tiles))
    made[0, :, :columns] = steps.inputs[chosen, None] / columns
    made[1] = weights / tiles
    made[2] = (seconds / tiles + at_work * machine.tile_seconds)[:, None]
    made[3] = steps.outputs[chosen, None] / tiles
    return made.reshape(4, -1)


def _whole(steps: _Steps, chosen: slice, machine: Accelerator) -> Floats:
    """Steps of several layers that fetch no weights: one tile each."""
    seconds = steps.seconds[:, chosen].sum(axis=0) + steps.at_work[:, chosen].sum(axis=0) * machine.tile_seconds
    return np.stack([steps.inputs[chosen], np.zeros(seconds.size), seconds, steps.outputs[chosen]])


def _by_slices(steps: _Steps, chosen: slice, slices: list[int], costs: list[LayerCost], machine: Accelerator) -> Floats:
    """Steps of several layers that fetch weights: a tile for each slice of weights, one for each layer without any."""
    counts = np.maximum(slices, 1)
    seconds = steps.seconds[:, chosen] / counts[:, None] + steps.at_work[:, chosen] * machine.tile_seconds
    weights = np.array([cost.weight_bytes for cost in costs]) / counts
    made = np.zeros((4, seconds.shape[1], int(counts.sum())))
    made[0, :, 0] = steps.inputs[chosen]
    made[1] = np.repeat(weights, counts)
    made[2] = np.repeat(seconds, counts, axis=0).T
    made[3, :, -1] = steps.outputs[chosen]
    return made.reshape(4, -1)
