"""The parts of a block's time on a CPU, whose cores have caches of their own in front of a shared one and memory."""

from dataclasses import dataclass

import numpy as np

from dlfusion.cost.busiest_core import arithmetic_parts
from dlfusion.cost.layer_numbers import Floats, LayerNumbers, NetworkNumbers, Way, network_numbers
from dlfusion.cost.terms import (
    CALLS,
    LAUNCH,
    LINE_BUFFERS,
    MAPS,
    MEMORY_ROWS,
    MEMORY_TILES,
    SYNCHRONIZATION,
    WEIGHTS,
    WEIGHTS_AGAIN,
)
from dlfusion.cost.winograd_terms import winograd_seconds
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.kind import Kind, kind
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.cpu import DEFAULT_L2_BYTES, Cpu
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import Schedule
from dlfusion.plans.traffic import arena_bytes
from dlfusion.plans.work import Work, work

ASSUMPTIONS = (
    "A core reaches one rate of operations on all layers that sum over channels.",
    "Convolutions of programs that multiply bfloat16 reach that rate times the machine's speed on bfloat16.",
    "On all others it reaches a quarter of that: each number that is read is used in few operations.",
    "Half of the third-level cache is ours, at most 16 MiB: others share it, and it slows down before it is full.",
    "Bytes come from the third-level cache if the block's inputs, outputs and weights fit into it, else from memory.",
    "Inputs and outputs that fit half of the second-level caches move at four times the rate of the third-level cache.",
    "What a second core reads of the same weights comes from the third-level cache if they fit into it.",
    "Weights larger than half of the second-level cache are fetched again in every step.",
    "Line buffers beyond the second-level cache are written to the third-level cache, or to memory, and read back.",
    "Half of the shorter of arithmetic and transfers goes on beside the longer.",
    "A rate that the machine does not state is that of a desktop core: 100 GFLOP/s, 80 GB/s from L3, 25 GB/s memory.",
    "A cache that the machine does not state has 1 MiB per core (L2) or 16 MiB (L3).",
    "Starting a block takes 1 us, on several cores 0.8 us more and 0.1 us per core; a call of a kernel 0.2 us.",
    "A layer in tiles takes its products at the rate of all sums, and transforms of tiles at that of other layers.",
    "Beside rows from memory and to memory nothing goes on where the block's first or last layer transforms them.",
    "A call of such a layer computes whole rows of tiles; cores that share its channels each transform all inputs.",
)

OVERLAP = 0.5
OWN_CACHE_FACTOR = 4.0
L3_SHARE = 0.5
LARGEST_L3_BYTES = 16 << 20
OTHER_RATE_SHARE = 0.25
LAUNCH_SECONDS = 1e-6
TEAM_SECONDS = 0.8e-6
TEAM_CORE_SECONDS = 0.1e-6
CALL_SECONDS = 0.2e-6


@dataclass(frozen=True, slots=True)
class CpuRates:
    """The machine's numbers with the assumed ones filled in; `l3_bytes` is the share that is ours."""

    operations_per_second: float
    l3_bytes_per_second: float
    memory_bytes_per_second: float
    l2_bytes: int
    l3_bytes: int

    @staticmethod
    def of(machine: Cpu) -> "CpuRates":
        """The rates of a machine."""
        return CpuRates(
            machine.peak_operations_per_second or 100e9,
            machine.l3_bytes_per_second or 80e9,
            machine.memory_bytes_per_second or 25e9,
            machine.l2_bytes or DEFAULT_L2_BYTES,
            min(int((machine.l3_bytes or 16 << 20) * L3_SHARE), LARGEST_L3_BYTES),
        )


def cpu_numbers(machine: Cpu, network: Network) -> NetworkNumbers:
    """What `cpu_parts` needs of a network's layers."""
    rate = CpuRates.of(machine).operations_per_second

    def seconds(layer: Layer) -> float:
        sort = kind(layer)
        speed = machine.convolution_speed if sort in (Kind.DENSE, Kind.POINTWISE) else 1.0
        return layer.features.operations / (rate * speed if sort.uses_array else rate * OTHER_RATE_SHARE)

    def in_tiles(layer: Layer, algorithm: Algorithm) -> Way:
        seconds, of_inputs = winograd_seconds(network, layer, algorithm, rate, rate * OTHER_RATE_SHARE)
        return Way(str(algorithm), seconds, of_inputs)

    return network_numbers(network, machine.element_bytes, seconds, in_tiles)


def cpu_parts(machine: Cpu, network: Network, cut: Schedule, numbers: LayerNumbers) -> dict[str, float]:
    """Seconds of each part by name, without what is hidden; `numbers` are of the block's layers."""
    cores = cut.block.cores
    done = work(network, cut, machine.weight_buffer_bytes, machine.element_bytes)
    parts = {LAUNCH: LAUNCH_SECONDS}
    if cores > 1:
        parts[SYNCHRONIZATION] = TEAM_SECONDS + TEAM_CORE_SECONDS * cores
    parts[CALLS] = int(done.steps.max()) * len(cut.flow.values) * CALL_SECONDS
    parts |= arithmetic_parts(numbers, cut, done, _channel_stretch(network, cut, numbers))[0]
    parts |= _transfer_parts(CpuRates.of(machine), network, cut, done, numbers)
    return parts


def _channel_stretch(network: Network, cut: Schedule, numbers: LayerNumbers) -> Floats | float:
    """With the channels partition each core repeats what does not depend on its output channels."""
    repeated = float(numbers.repeated[0])
    if cut.block.partition is Partition.ROWS or not repeated:
        return 1.0
    channels = network.layers[cut.block.first].features.output_channels
    share = np.diff(channels * np.arange(cut.block.cores + 1) // cut.block.cores) / channels
    stretch: Floats = channel_share(share, repeated / float(numbers.seconds[0])) / share
    return stretch


def channel_share(share: Floats, repeated: Floats | float) -> Floats:
    """The share of a layer's seconds that a core with a share of its output channels takes.

    `repeated` is the share that each core does in full.
    """
    return repeated + (1 - repeated) * share


def map_seconds(
    rates: CpuRates, cores: Floats | int, moved: Floats | int, weights: Floats | float
) -> tuple[Floats, Floats]:
    """Seconds of a block's inputs and outputs, `moved` bytes in all: from and to caches, or from and to memory.

    Small ones are still in the cores' own caches, where the blocks before left them; others fit into the third-level
    cache, together with the block's weights (bytes), or come from memory. One of the two is zero.
    """
    team_rate = rates.l3_bytes_per_second * np.asarray(cores)
    own = moved <= np.asarray(cores) * rates.l2_bytes / 2
    cached: Floats = moved / np.where(own, OWN_CACHE_FACTOR * team_rate, team_rate)
    from_memory = ~own & (moved + weights > rates.l3_bytes)
    remote: Floats = moved / np.minimum(rates.memory_bytes_per_second, team_rate)
    return np.where(from_memory, 0.0, cached), np.where(from_memory, remote, 0.0)


def tiled_share(input_share: Floats | float, first_tiled: Floats | bool, last_tiled: Floats | bool) -> Floats:
    """The share of rows that is transformed in tiles, where the block's first layer reads `input_share` of them.

    The last layer writes the others; both are told by whether they compute in tiles.
    """
    return np.asarray(input_share * first_tiled + (1 - input_share) * last_tiled)


def _transfer_parts(
    rates: CpuRates, network: Network, cut: Schedule, done: Work, numbers: LayerNumbers
) -> dict[str, float]:
    """Seconds of moving bytes. Memory is shared; each core has its own way to the third-level cache."""
    team_rate = rates.l3_bytes_per_second * cut.block.cores
    weights = float(numbers.weight_bytes.sum())
    inputs = int(done.input_bytes.sum())
    read_once = int(done.input_bytes.max()) if cut.block.partition is Partition.CHANNELS else inputs
    moved = read_once + int(done.output_bytes.sum())
    memory_rate = min(rates.memory_bytes_per_second, team_rate)
    first_rate = team_rate if moved + weights <= rates.l3_bytes else memory_rate
    again_rate = team_rate if weights <= rates.l3_bytes else memory_rate
    cached, remote = map_seconds(rates, cut.block.cores, moved, weights)
    tiled = {index for index, name in cut.block.algorithms if name != Algorithm.DIRECT}
    ends = cut.block.first in tiled, cut.block.last in tiled
    of_tiles = float(remote * tiled_share(read_once / moved, *ends))
    parts = {
        MAPS: float(cached) + (inputs - read_once) / team_rate,
        MEMORY_ROWS: float(remote) - of_tiles,
        MEMORY_TILES: of_tiles,
        WEIGHTS: weights / first_rate,
        WEIGHTS_AGAIN: max(0.0, float(done.weight_bytes.sum()) - weights) / again_rate,
    }
    rings = arena_bytes(network, cut) if cut.block.first < cut.block.last else 0
    if rings > rates.l2_bytes:
        spilled = 2 * int(done.inner_bytes.sum())
        if rings * cut.block.cores <= rates.l3_bytes:
            parts[LINE_BUFFERS] = spilled / team_rate
        else:
            of_tiles = float(spilled / memory_rate * tiled_share(0.5, *ends))
            parts[MEMORY_ROWS] += spilled / memory_rate - of_tiles
            parts[MEMORY_TILES] += of_tiles
    return parts
