"""Plays one block on an accelerator, tile by tile: when each transfer and each piece of arithmetic begins and ends.

The host launches the block; then each of its cores is synchronized, one after the other, and all start together. A
core loads tile k, computes it and stores it. There are two buffers for each direction, so

* tile k + 1 is loaded beside the arithmetic of tile k, and tile k + 2 from when that is done;
* tile k + 2 is computed only when the results of tile k are stored.

A core has one load under way at a time; its stores go beside it. Every transfer takes the core's own port and the
memory channel of the core, both at once; each of the two serves one transfer after the other. A channel serves its
cores in turns: in each turn, for one core after the other, the store of tile k - 2, then the load of tile k. If a core
is late, the channel waits for it. With this fixed order every time is a sum or a maximum of earlier times, so a faster
part can never make a block slower, which first-come-first-served does not promise; for one core on a channel the two
are equal.

With a cluster memory, weights that all cores of a cluster read go from the memory channel to the cluster's memory once,
when the first core in turn asks, and from there to each core through the cluster's own server and the core's port. They
stay there if all of the block's weights fit, else they come again in every step. Cluster i uses channel i modulo
channels.

Not played: the latency of memory, conflicts of banks, refresh, the way across a network on the chip, the start of the
array's pipeline, and what the operating system does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.targets.simulated.arithmetic import LayerCost, layer_cost
from dlfusion.targets.simulated.events import Cargo, Cluster, Core, Server, play
from dlfusion.targets.simulated.tiles import CoreTiles, core_tiles

VERSION = 1
"""Of the simulator: times of two versions are not compared."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One run of a block. Tuples have one entry per memory channel of the machine, or per core of the block.

    Attributes:
        seconds: from the host's call to the end of the last store.
        start_seconds: of these, before the cores start.
        tiles: of all cores.
        channel_input_bytes: rows of the block's inputs that each channel delivered.
        channel_output_bytes: rows of the block's outputs that each channel took.
        channel_weight_bytes: weights that each channel delivered, to cores or to cluster memories.
        channel_busy_seconds: how long each channel served.
        core_weight_bytes: weights that each core received.
        core_operations: what each core computed.
        core_busy_seconds: how long each core computed, the issue of tiles included.
    """

    seconds: float
    start_seconds: float
    tiles: int
    channel_input_bytes: tuple[float, ...]
    channel_output_bytes: tuple[float, ...]
    channel_weight_bytes: tuple[float, ...]
    channel_busy_seconds: tuple[float, ...]
    core_weight_bytes: tuple[float, ...]
    core_operations: tuple[float, ...]
    core_busy_seconds: tuple[float, ...]


class Simulator:
    """Plays blocks of one network on one machine; what a layer costs is worked out once."""

    def __init__(self, network: Network, machine: Accelerator) -> None:
        self._network = network
        self._machine = machine
        self._costs: dict[tuple[int, int | None], LayerCost] = {}

    def simulate(self, block: Block) -> Simulation:
        """One run of a legal block (`plans.legality.problems` says whether it is)."""
        machine = self._machine
        cores = core_tiles(self._network, schedule(self._network, block), machine, self._cost)
        start = machine.launch_seconds + block.cores * machine.synchronization_seconds
        channels = [Server(machine.channel_bytes_per_second) for _ in range(machine.channels)]
        clusters: list[Cluster] = []
        if machine.cluster_cores > 1 and block.partition is Partition.ROWS:
            kept = cores[0].own_weights <= machine.cluster_memory_bytes
            count = -(-block.cores // machine.cluster_cores)
            clusters = [
                Cluster(Server(machine.cluster_bytes_per_second), channels[i % machine.channels], kept)
                for i in range(count)
            ]
        playing = [
            Core(
                tiles,
                Server(machine.core_bytes_per_second),
                channels[i % machine.channels],
                clusters[i // machine.cluster_cores] if clusters else None,
            )
            for i, tiles in enumerate(cores)
        ]
        return _result(cores, channels, start, start + play(playing))

    def _cost(self, index: int, outputs: int | None) -> LayerCost:
        key = (index, outputs)
        if key not in self._costs:
            self._costs[key] = layer_cost(self._network, self._network.layers[index], self._machine, outputs)
        return self._costs[key]


def simulate(network: Network, block: Block, machine: Accelerator) -> Simulation:
    """One run of a legal block; for many blocks of a network a `Simulator` is faster."""
    return Simulator(network, machine).simulate(block)


def _result(cores: Sequence[CoreTiles], channels: Sequence[Server], start: float, end: float) -> Simulation:
    """The times, with what was served added up."""
    return Simulation(
        seconds=end,
        start_seconds=start,
        tiles=sum(tiles.count for tiles in cores),
        channel_input_bytes=tuple(channel.served[Cargo.INPUT] for channel in channels),
        channel_output_bytes=tuple(channel.served[Cargo.OUTPUT] for channel in channels),
        channel_weight_bytes=tuple(channel.served[Cargo.WEIGHTS] for channel in channels),
        channel_busy_seconds=tuple(sum(channel.served) / channel.rate for channel in channels),
        core_weight_bytes=tuple(sum(tiles.weights) for tiles in cores),
        core_operations=tuple(tiles.operations for tiles in cores),
        core_busy_seconds=tuple(sum(tiles.seconds) for tiles in cores),
    )
