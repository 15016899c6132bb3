"""The parts that serve a block, and the order in which they do: see `simulator` for what it stands for.

Times are seconds after the common start of the cores.
"""

from collections.abc import Sequence
from enum import IntEnum

from dlfusion.targets.simulated.tiles import CoreTiles


class Cargo(IntEnum):
    """What a transfer carries."""

    INPUT = 0
    OUTPUT = 1
    WEIGHTS = 2


class Server:
    """A part that moves one transfer after the other, at `rate` bytes per second; `served` counts bytes by cargo."""

    __slots__ = ("free", "rate", "served")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.free = 0.0
        self.served = [0.0, 0.0, 0.0]

    def serve(self, request: float, amount: float, cargo: int) -> float:
        """Moves `amount` bytes, not before `request`; returns when it begins. `free` is when it ends."""
        begin = self.free if self.free > request else request
        self.free = begin + amount / self.rate
        self.served[cargo] += amount
        return begin


class Cluster:
    """A memory that cores share, with its server; weights come to it through one memory channel.

    `kept` says that they stay from step to step; else each step's are fetched again, once for all cores.
    """

    __slots__ = ("_arrived", "channel", "kept", "server")

    def __init__(self, server: Server, channel: Server, kept: bool) -> None:
        self.server = server
        self.channel = channel
        self.kept = kept
        self._arrived: dict[int, float] = {}

    def deliver(self, request: float, amount: float, number: int, step_slices: int, port: Server) -> float:
        """Hands a core its slice of weights, the core's `number`th; returns when it has arrived there.

        What is still on its way from the channel passes through: it arrives no earlier than its end does.
        """
        slice_of_block = number % step_slices if self.kept else number
        arrived = self._arrived.get(slice_of_block)
        if arrived is None:
            self.channel.serve(request, amount, Cargo.WEIGHTS)
            arrived = self._arrived[slice_of_block] = self.channel.free
        begin = self.server.serve(request, amount, Cargo.WEIGHTS)
        port.serve(begin, amount, Cargo.WEIGHTS)
        return max(arrived, self.server.free, port.free)


class Core:
    """One core with its port: how far its loads, its arithmetic and its stores are."""

    __slots__ = ("_channel", "_cluster", "_computed", "_fetched", "_loaded", "_port", "_stored", "_tiles", "count")

    def __init__(self, tiles: CoreTiles, port: Server, channel: Server, cluster: Cluster | None) -> None:
        self.count = tiles.count
        self._tiles = tiles
        self._port = port
        self._channel = channel
        self._cluster = cluster
        self._fetched = 0
        self._loaded = 0.0
        self._stored = 0.0
        # When the arithmetic of each tile ends; two entries before the first tile, as if tiles had gone before.
        self._computed = [0.0, 0.0]

    def store(self, tile: int) -> None:
        """Stores a tile's results; the next `store` is of the tile after it."""
        stored = self._transfer(self._computed[tile + 2], self._tiles.outputs[tile], Cargo.OUTPUT)
        self._stored = max(self._stored, stored)

    def load_and_compute(self, tile: int) -> None:
        """Loads a tile and computes it; the tile two before it is already stored."""
        tiles = self._tiles
        before, last = self._computed[-2:]
        request = max(self._loaded, before)
        loaded = self._transfer(request, tiles.inputs[tile], Cargo.INPUT)
        weights = tiles.weights[tile]
        if weights and self._cluster is None:
            loaded = self._transfer(request, weights, Cargo.WEIGHTS)
        elif weights and self._cluster:
            delivered = self._cluster.deliver(request, weights, self._fetched, tiles.step_slices, self._port)
            loaded = max(loaded, delivered)
            self._fetched += 1
        self._loaded = loaded
        self._computed.append(max(loaded, last, self._stored) + tiles.seconds[tile])

    def end(self) -> float:
        """When all is done."""
        return max(self._computed[-1], self._stored)

    def _transfer(self, request: float, amount: float, cargo: int) -> float:
        """Moves bytes through channel and port at once; returns when the last has passed both."""
        if not amount:
            return request
        channel, port = self._channel, self._port
        port.serve(channel.serve(request, amount, cargo), amount, cargo)
        return channel.free if channel.free > port.free else port.free


def play(cores: Sequence[Core]) -> float:
    """Serves the cores in turns until all have stored their last tile; returns when that is."""
    for turn in range(max(core.count for core in cores) + 2):
        for core in cores:
            if 2 <= turn < core.count + 2:
                core.store(turn - 2)
            if turn < core.count:
                core.load_and_compute(turn)
    return max(core.end() for core in cores)
