"""The parts of a block's time on an accelerator: cores with on-chip memories that software fills, memory channels.

A closed form, not a simulation: each part is a count of `plans.work` over one of the machine's rates.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from dlfusion.cost.busiest_core import arithmetic_parts
from dlfusion.cost.layer_numbers import Floats, LayerNumbers, NetworkNumbers, network_numbers
from dlfusion.cost.terms import (
    ALONE,
    CALLS,
    EDGE_ROWS,
    FIRST_WEIGHTS,
    LAUNCH,
    MAPS,
    SYNCHRONIZATION,
    WEIGHTS,
    WEIGHTS_AGAIN,
)
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import Schedule
from dlfusion.plans.work import Work, on_chip_bytes, work

ASSUMPTIONS = (
    "The array reaches its peak rate on channels rounded up to its size; all other layers run at the vector rate.",
    "The vector unit works on what leaves the array beside it, whichever of the two takes longer.",
    "A layer that the array cannot do takes at least one vector operation per output element.",
    "All cores of a block start together, after the launch and one synchronization per core.",
    "A step's transfers go on beside the arithmetic of other steps, whichever takes longer; steps take equal times.",
    "First rows arrive, and last rows leave, with nothing beside them; a channel's cores take their turns.",
    "A channel serves its cores at its full rate; a core takes no more than its own port does.",
    "Weights that fit a core's weight buffer arrive once, beside the first step's arithmetic; others in every step.",
    "Weights arrive in slices of one layer and at most half of the weight buffer; the first has nothing beside it.",
    "A cluster memory fetches weights once for its cores, keeps them if they fit, and delivers while it fetches.",
    "A layer alone whose step does not fit the core's buffer is cut along columns into as many parts as are needed.",
)

OVERLAP = 1.0


def accelerator_numbers(machine: Accelerator, network: Network) -> NetworkNumbers:
    """What `accelerator_parts` needs of a network's layers, which such machines compute directly."""

    def seconds(layer: Layer) -> float:
        if not kind(layer).uses_array:
            work_items = max(layer.features.operations, prod(network.shape(layer.output)))
            return work_items / machine.vector_operations_per_second
        shapes = tuple(array.shape for array in network.graph.parameters(layer.anchor))
        anchor = layer.anchor.operator.operations(network.graph.activation_shapes(layer.anchor), shapes)
        inputs, outputs = _group_channels(layer, shapes[0])
        fullness = _padding(inputs, machine.array_inputs) * _padding(outputs, machine.array_outputs)
        beside = (layer.features.operations - anchor) / machine.vector_operations_per_second
        return max(anchor * fullness / machine.operations_per_second, beside)

    return network_numbers(network, machine.element_bytes, seconds)


def accelerator_parts(machine: Accelerator, network: Network, cut: Schedule, numbers: LayerNumbers) -> dict[str, float]:
    """Seconds of each part by name, without what is hidden; `numbers` are of the block's layers."""
    block = cut.block
    done = work(network, cut, machine.weight_buffer_bytes, machine.element_bytes)
    tiling = _tiling(machine, network, cut, numbers, done)
    arithmetic, by_layer = arithmetic_parts(numbers, cut, done, _channel_stretch(machine, network, cut))
    parts = {
        LAUNCH: machine.launch_seconds,
        SYNCHRONIZATION: machine.synchronization_seconds * block.cores,
        CALLS: tiling.tiles * machine.tile_seconds,
        **arithmetic,
    }
    seconds = sum(arithmetic.values()) + parts[CALLS]
    once = done.weight_bytes / np.maximum(done.steps, 1) if tiling.fetches > 1 else done.weight_bytes.astype(np.float64)
    fetched, fetched_again = _weight_loads(machine, cut, once)
    first, again = float(fetched.max()), float(fetched_again.max())
    weights = numbers.weight_bytes
    share = weights / max(float(weights.sum()), 1.0) / tiling.slices
    exposed = max(first * float(share[0]), 0.0 if tiling.fetches > 1 else first - seconds / tiling.steps)
    maps, edges = _map_loads(machine, done, tiling, exposed, seconds)
    busiest = int((maps + fetched + fetched_again * (tiling.fetches - 1)).argmax())
    parts |= {
        MAPS: float(maps[busiest]),
        WEIGHTS: max(0.0, float(fetched[busiest]) - exposed),
        WEIGHTS_AGAIN: float(fetched_again[busiest]) * (tiling.fetches - 1),
        FIRST_WEIGHTS: exposed,
        EDGE_ROWS: edges,
    }
    parts[ALONE] = seconds / tiling.steps / tiling.last_tiles
    if first:
        tile = by_layer / tiling.steps / tiling.slices + machine.tile_seconds
        beside = _beside_arithmetic(
            np.repeat(tile, tiling.slices), np.repeat(share, tiling.slices), first, again, tiling
        )
        parts[ALONE] = max(parts[ALONE], seconds - beside - parts[MAPS])
    return parts


@dataclass(frozen=True, slots=True)
class _Tiling:
    """How the steps of the core with the most of them are cut.

    Attributes:
        steps: of the schedule, at least 1.
        fetches: steps that fetch weights: the first, or all.
        slices: of each layer, pieces of its part of a step that fetches weights.
        columns: pieces of the other steps of a layer alone, else 1.
        last_tiles: pieces of the last step.
        tiles: times that a layer is issued, over all steps.
    """

    steps: int
    fetches: int
    slices: NDArray[np.int64]
    columns: int
    last_tiles: int
    tiles: int


def _tiling(machine: Accelerator, network: Network, cut: Schedule, numbers: LayerNumbers, done: Work) -> _Tiling:
    steps = max(1, int(done.steps.max()))
    most = int(done.weight_bytes.max())
    fetches = 1 if most <= machine.weight_buffer_bytes else steps
    weights = numbers.weight_bytes
    share = most / fetches / max(float(weights.sum()), 1.0)
    slices = np.maximum(np.ceil(weights * share / (machine.weight_buffer_bytes / 2)), 1).astype(np.int64)
    alone = cut.block.first == cut.block.last
    columns = _column_parts(machine, network, cut) if alone else 1
    if alone:
        slices = np.maximum(slices, columns)
    fetching = int(slices.sum())
    last = fetching if fetches == steps else columns
    return _Tiling(
        steps, fetches, slices, columns, last, fetches * fetching + (steps - fetches) * columns * len(weights)
    )


def _beside_arithmetic(tile: Floats, share: Floats, first: float, again: float, tiling: _Tiling) -> float:
    """Seconds of weights that arrive while a core computes the piece before the one they are for.

    Args:
        tile: arithmetic of each piece of a step that fetches weights, in order.
        share: of the step's weights that the piece needs.
        first: seconds in which the first step's weights arrive.
        again: those of each later step.
        tiling: of the block.
    """
    ahead = share[1:]
    inside = float(np.minimum(tile[:-1], first * ahead).sum())
    if tiling.fetches == 1:
        return inside
    later = float(np.minimum(tile[:-1], again * ahead).sum()) + min(float(tile[-1]), again * float(share[0]))
    return inside + (tiling.fetches - 1) * later


def _padding(channels: int, size: int) -> float:
    """What rounding channels up to the array's size multiplies work by."""
    return -(-channels // size) * size / channels


def _group_channels(layer: Layer, weights: tuple[int, ...]) -> tuple[int, int]:
    """Input and output channels of one group, from the shape of the weights."""
    match layer.anchor.operator:
        case Conv(groups=groups):
            return weights[1], weights[0] // groups
        case ConvTranspose(groups=groups):
            return weights[0] // groups, weights[1]
    return prod(weights[1:]), weights[0]


def _channel_stretch(machine: Accelerator, network: Network, cut: Schedule) -> Floats | float:
    """With the channels partition a core's range of output channels fills the array less than the whole layer does."""
    layer = network.layers[cut.block.first]
    if cut.block.partition is Partition.ROWS or not kind(layer).uses_array:
        return 1.0
    weights = network.graph.parameters(layer.anchor)[0].shape
    group_outputs = _group_channels(layer, weights)[1]
    edges = layer.features.output_channels * np.arange(cut.block.cores + 1) // cut.block.cores
    own = np.clip(np.diff(edges), 1, group_outputs)
    rounded = -(-own // machine.array_outputs) * machine.array_outputs
    stretch: Floats = rounded / own / _padding(group_outputs, machine.array_outputs)
    return stretch


def _column_parts(machine: Accelerator, network: Network, cut: Schedule) -> int:
    """Pieces that a layer alone is cut into along its columns so that a step fits the buffer."""
    return max(1, -(-on_chip_bytes(network, cut, machine.element_bytes) // machine.buffer_bytes))


def _loads(machine: Accelerator, core_bytes: Floats) -> Floats:
    """Seconds that each channel, then each core's port, then each cluster memory spends on the bytes of each core."""
    channels = np.bincount(np.arange(core_bytes.size) % machine.channels, core_bytes, machine.channels)
    ports = core_bytes / machine.core_bytes_per_second
    clusters = np.zeros(-(-core_bytes.size // machine.cluster_cores) if machine.cluster_cores > 1 else 0)
    return np.concatenate([channels / machine.channel_bytes_per_second, ports, clusters])


def _map_loads(
    machine: Accelerator, done: Work, tiling: _Tiling, first_weights: float, arithmetic: float
) -> tuple[Floats, float]:
    """Loads of rows that arithmetic can go on beside, and seconds of the first rows in and the last rows out.

    In a block of several layers rows arrive with a step's first piece and leave with its last. The cores of a channel
    that wait for each other's first rows and weights are done one after the other, and so may find the channel free;
    not so those of little arithmetic, which are done while others still wait.
    """
    steps = np.maximum(done.steps, 1)
    last_pieces = tiling.last_tiles if len(tiling.slices) == 1 else 1
    first, last = done.input_bytes / (steps * tiling.columns), done.output_bytes / (steps * last_pieces)
    between = done.input_bytes - first + done.output_bytes - last
    first_seconds, last_seconds = float(_loads(machine, first).max()), float(_loads(machine, last).max())
    own_seconds = float(last.max()) / min(machine.channel_bytes_per_second, machine.core_bytes_per_second)
    lag = (first_seconds + first_weights) * (1 - own_seconds / last_seconds) if last_seconds else 0.0
    return _loads(machine, between), first_seconds + max(own_seconds, last_seconds - min(lag, arithmetic))


def _weight_loads(machine: Accelerator, cut: Schedule, once: Floats) -> tuple[Floats, Floats]:
    """Loads of `once` bytes of weights for each core when they come for the first time, and in each later step.

    Cluster i fetches through channel i modulo the number of channels, once for all of its cores.
    """
    loads = _loads(machine, once)
    if machine.cluster_cores == 1 or cut.block.partition is Partition.CHANNELS:
        return loads, loads
    starts = np.arange(0, once.size, machine.cluster_cores)
    fetched = np.bincount(
        np.arange(starts.size) % machine.channels, np.maximum.reduceat(once, starts), machine.channels
    )
    loads[: machine.channels] = fetched / machine.channel_bytes_per_second
    loads[-starts.size :] = np.add.reduceat(once, starts) / machine.cluster_bytes_per_second
    again = loads.copy()
    if float(once.max()) <= machine.cluster_memory_bytes:
        again[: machine.channels] = 0.0
    return loads, again
