"""Predicted seconds of all short ranges of layers at once, from the tables of `joint_rows.py`.

These are the formulas of `cost/cpu_terms.py` and `cost/accelerator_terms.py` with the profile's factors, on arrays:
axes are the range's last layer, how many layers come before it, core count and step. Every core counts as the one
that the tables describe, which `problem.cost` does not take for granted, so that its predictions of single blocks
may differ by some hundredths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from dlfusion.cost import accelerator_terms, cpu_terms
from dlfusion.cost import terms as parts
from dlfusion.cost.layer_numbers import NetworkNumbers
from dlfusion.cost.profile import CostFit
from dlfusion.errors import PlanError
from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.machine import Machine
from dlfusion.search.joint_rows import Facts, Floats, Tables, tile_rows


@dataclass(frozen=True, eq=False)
class Shares:
    """What the busiest core of each block does; arrays of four axes, some of them of length 1.

    Attributes:
        cores: core counts (on the third axis).
        layers: layers of the block.
        arithmetic: seconds, the profile's factors included.
        input_bytes, output_bytes: rows of values that other blocks see.
        inner_bytes: rows written into line buffers.
        weight_bytes: weights that the core needs in every step.
        all_weight_bytes: weights of the whole block.
        passes: steps.
        columns: parts that a step is cut into where a layer alone does not fit the buffer.
        slices: parts in which the weights of a step arrive.
        layer_arithmetic, layer_weights, layer_slices: of the first layer alone.
        ring_bytes: line buffers.
        inputs_shared: True if all cores read the same inputs.
        first_tiled, last_tiled: 1 where the first, the last layer of the block computes in tiles, else 0.
    """

    cores: Floats
    layers: Floats
    arithmetic: Floats
    input_bytes: Floats
    output_bytes: Floats
    inner_bytes: Floats
    weight_bytes: Floats
    all_weight_bytes: Floats
    passes: Floats
    columns: Floats
    slices: Floats
    layer_arithmetic: Floats
    layer_weights: Floats
    layer_slices: Floats
    ring_bytes: Floats
    inputs_shared: bool
    first_tiled: Floats
    last_tiled: Floats


class Pace:
    """A machine's formulas with the factors of its profile.

    `layer_seconds` is one core's arithmetic of each layer by its algorithm, the profile's factors included; `repeated`
    is the share of it that each of several cores does in full where they share the layer by its channels.
    """

    def __init__(
        self, machine: Machine, network: Network, fit: CostFit, algorithms: tuple[tuple[int, str], ...] = ()
    ) -> None:
        """`algorithms` has the layers that are not computed directly."""
        self.machine, self.network = machine, network
        self.factors: Mapping[str, float] = fit.scales
        self.overlap = fit.overlap
        numbers = self._network_numbers().chosen(0, len(network.layers) - 1, algorithms)
        by_name = np.array([self.factors.get(name, 1.0) for name in parts.WORK_TERMS])
        self.layer_seconds: Floats = numbers.seconds * by_name[numbers.terms]
        self._tiled: Floats = np.zeros(len(network.layers))
        self._tiled[[index for index, name in algorithms if name != Algorithm.DIRECT]] = 1.0
        self.repeated: Floats = numbers.repeated / np.maximum(numbers.seconds, np.finfo(np.float64).tiny)

    def _network_numbers(self) -> NetworkNumbers:
        match self.machine:
            case Cpu() as cpu:
                return cpu_terms.cpu_numbers(cpu, self.network)
            case Accelerator() as accelerator:
                return accelerator_terms.accelerator_numbers(accelerator, self.network)
        raise PlanError(
            f"The strategy `dlfusion` has formulas for CPUs and accelerators, not for a "
            f"{type(self.machine).__name__}; plan with `dp`, which needs a cost model only."
        )

    def seconds_per_byte(self, cores: int) -> float:
        """Of one core's transfers while `cores` cores transfer as much; from memory, on a CPU."""
        match self.machine:
            case Accelerator() as accelerator:
                shared = -(-cores // accelerator.channels) / accelerator.channel_bytes_per_second
                return self._factor(parts.MAPS) * max(shared, 1 / accelerator.core_bytes_per_second)
            case Cpu() as cpu:
                rates = cpu_terms.CpuRates.of(cpu)
                team = min(rates.memory_bytes_per_second, rates.l3_bytes_per_second * cores)
                return self._factor(parts.MEMORY_ROWS) * cores / team
        raise TypeError(f"no formulas for {type(self.machine).__name__}")

    def start_seconds(self, cores: int) -> float:
        """Of a block on that many cores before anything is computed."""
        match self.machine:
            case Accelerator() as accelerator:
                team = accelerator.synchronization_seconds * cores
                return accelerator.launch_seconds * self._factor(parts.LAUNCH) + team * self._factor(
                    parts.SYNCHRONIZATION
                )
            case Cpu():
                team = cpu_terms.TEAM_SECONDS + cpu_terms.TEAM_CORE_SECONDS * cores if cores > 1 else 0.0
                return cpu_terms.LAUNCH_SECONDS * self._factor(parts.LAUNCH) + team * self._factor(
                    parts.SYNCHRONIZATION
                )
        raise TypeError(f"no formulas for {type(self.machine).__name__}")

    def rows(self, known: Facts, tables: Tables, cores: tuple[int, ...]) -> Floats:
        """Seconds of all ranges cut by rows (four axes), whether they are legal or not."""
        count, longest = tables.legal.shape[:2]
        layers = np.arange(1.0, longest + 1)[None, :, None, None]
        weights = tables.weight_bytes[:, :, None, None]
        columns = np.ones((1, 1, 1, 1))
        if self.machine.buffer_is_memory:
            columns = np.ones_like(tables.held_bytes)
            columns[:, :1] = np.maximum(np.ceil(tables.held_bytes[:, :1] / self.machine.buffer_bytes), 1)
        first = np.maximum(np.arange(count)[:, None] - np.arange(longest)[None, :], 0)
        own = np.diff(tables.weight_bytes, axis=1, prepend=0.0)
        slices = self._slices(known.weight_bytes)[first]
        return self.seconds(
            Shares(
                cores=np.array(cores, np.float64)[None, None, :, None],
                layers=layers,
                arithmetic=tables.arithmetic,
                input_bytes=tables.input_bytes[..., None],
                output_bytes=tables.output_bytes[..., None],
                inner_bytes=tables.inner_bytes[..., None],
                weight_bytes=weights,
                all_weight_bytes=weights,
                passes=np.maximum(tables.passes, 1.0),
                columns=columns,
                slices=slices.cumsum(axis=1)[:, :, None, None],
                layer_arithmetic=np.diff(tables.arithmetic, axis=1, prepend=0.0),
                layer_weights=own[:, :, None, None],
                layer_slices=slices[:, :, None, None],
                ring_bytes=tables.ring_bytes,
                inputs_shared=False,
                first_tiled=self._tiled[first][:, :, None, None],
                last_tiled=self._tiled[:, None, None, None],
            )
        )

    def _slices(self, weight_bytes: Floats) -> Floats:
        """Parts in which a layer's weights arrive: of at most half of the weight buffer."""
        slices: Floats = np.maximum(np.ceil(weight_bytes / (self.machine.weight_buffer_bytes / 2)), 1)
        return slices

    def channels(self, known: Facts, cores: tuple[int, ...], steps: tuple[int, ...]) -> Floats:
        """Seconds of every layer alone, cut by channels (four axes, the second of length 1); infinite where illegal."""
        count = len(known.reads)
        counts = np.array(cores, np.float64)[None, None, :, None]
        heights = known.heights[:count].astype(np.float64)[:, None, None, None]
        step = np.minimum(np.array([step or np.inf for step in steps])[None, None, None, :], heights)
        features = [layer.features for layer in self.network.layers]
        share = np.array([self._channel_share(index, cores) for index in range(count)])[:, None, :, None]
        passes = known.images * np.ceil(heights / step) * np.ones_like(counts)
        scale = self.machine.element_bytes / FLOAT_BYTES
        inputs = np.array([f.input_bytes for f in features], np.float64)[:, None, None, None] * scale
        outputs = np.array([f.output_bytes for f in features], np.float64)[:, None, None, None] * scale / counts
        weights = known.weight_bytes[:, None, None, None]
        columns = np.ones((1, 1, 1, 1))
        if self.machine.buffer_is_memory:
            held = 2 * (inputs + outputs) / passes
            columns = np.maximum(np.ceil(held / self.machine.buffer_bytes), 1)
        slices = self._slices(weights / counts)
        arithmetic = self._channel_arithmetic(known, share, heights, step)
        seconds = self.seconds(
            Shares(
                cores=counts,
                layers=np.ones((1, 1, 1, 1)),
                arithmetic=arithmetic,
                input_bytes=inputs,
                output_bytes=outputs,
                inner_bytes=np.zeros((1, 1, 1, 1)),
                weight_bytes=weights / counts,
                all_weight_bytes=weights,
                passes=passes,
                columns=columns,
                slices=slices,
                layer_arithmetic=arithmetic,
                layer_weights=weights / counts,
                layer_slices=slices,
                ring_bytes=np.zeros((1, 1, 1, 1)),
                inputs_shared=True,
                first_tiled=self._tiled[:, None, None, None],
                last_tiled=self._tiled[:, None, None, None],
            )
        )
        legal = (counts > 1) & (counts <= known.channels[:, None, None, None])
        return np.where(legal, seconds, np.inf)

    def _channel_arithmetic(self, known: Facts, share: Floats, heights: Floats, step: Floats) -> Floats:
        """Seconds of a core that has a share of each layer's channels (four axes)."""
        tiles = known.tiles[:, None, None, None]
        whole = np.ceil(heights / tiles) * tiles
        computed = tile_rows(heights, step, np.zeros_like(heights), tiles) / whole
        repeated = self.repeated[:, None, None, None]
        seconds: Floats = self.layer_seconds[:, None, None, None] * cpu_terms.channel_share(share, repeated) * computed
        return seconds

    def _channel_share(self, index: int, cores: tuple[int, ...]) -> list[float]:
        """A core's share of a layer's arithmetic: a range of its channels, rounded up to the array's size."""
        layer = self.network.layers[index]
        channels = layer.features.output_channels
        size = 1
        if isinstance(self.machine, Accelerator) and kind(layer).uses_array:
            size = self.machine.array_outputs
        rounded = ceil(channels / size) * size
        largest = [ceil(channels / count) for count in cores]
        return [ceil(own / size) * size / rounded for own in largest]

    def seconds(self, cut: Shares) -> Floats:
        """Predicted seconds of blocks."""
        match self.machine:
            case Cpu() as cpu:
                return self._on_cpu(cpu_terms.CpuRates.of(cpu), cpu, cut)
            case Accelerator() as accelerator:
                return self._on_accelerator(accelerator, cut)
        raise TypeError(f"no formulas for {type(self.machine).__name__}")

    def _factor(self, name: str) -> float:
        return self.factors.get(name, 1.0)

    def _hidden(self, arithmetic: Floats, transfers: Floats) -> Floats:
        """What goes on beside something longer."""
        hidden: Floats = self.overlap * np.minimum(arithmetic, transfers)
        return hidden

    def _on_cpu(self, rates: cpu_terms.CpuRates, machine: Cpu, cut: Shares) -> Floats:
        team = np.where(cut.cores > 1, cpu_terms.TEAM_SECONDS + cpu_terms.TEAM_CORE_SECONDS * cut.cores, 0.0)
        starts = cpu_terms.LAUNCH_SECONDS * self._factor(parts.LAUNCH) + team * self._factor(parts.SYNCHRONIZATION)
        calls = cut.passes * cut.layers * cpu_terms.CALL_SECONDS * self._factor(parts.CALLS)
        team_rate = rates.l3_bytes_per_second * cut.cores
        inputs = cut.input_bytes * cut.cores
        read_once = cut.input_bytes if cut.inputs_shared else inputs
        moved = read_once + cut.output_bytes * cut.cores
        memory_rate = np.minimum(rates.memory_bytes_per_second, team_rate)
        first_rate = np.where(moved + cut.all_weight_bytes <= rates.l3_bytes, team_rate, memory_rate)
        cached, remote = cpu_terms.map_seconds(rates, cut.cores, moved, cut.all_weight_bytes)
        again_rate = np.where(cut.all_weight_bytes <= rates.l3_bytes, team_rate, memory_rate)
        fetched = cut.weight_bytes * np.where(cut.weight_bytes > machine.weight_buffer_bytes, cut.passes, 1.0)
        again = np.maximum(fetched * cut.cores - cut.all_weight_bytes, 0.0)
        rings_near = cut.ring_bytes * cut.cores <= rates.l3_bytes
        spilled = np.where((cut.ring_bytes > rates.l2_bytes) & (cut.layers > 1), 2 * cut.inner_bytes * cut.cores, 0.0)
        far_rings = np.where(rings_near, 0.0, spilled / memory_rate)
        tiled = cut.first_tiled, cut.last_tiled
        of_tiles = remote * cpu_terms.tiled_share(read_once / np.maximum(moved, 1.0), *tiled)
        of_tiles = of_tiles + far_rings * cpu_terms.tiled_share(0.5, *tiled)
        transfers = (
            (cached + (inputs - read_once) / team_rate) * self._factor(parts.MAPS)
            + (remote + far_rings - of_tiles) * self._factor(parts.MEMORY_ROWS)
            + cut.all_weight_bytes / first_rate * self._factor(parts.WEIGHTS)
            + again / again_rate * self._factor(parts.WEIGHTS_AGAIN)
            + np.where(rings_near, spilled / team_rate, 0.0) * self._factor(parts.LINE_BUFFERS)
        )
        arithmetic = calls + cut.arithmetic
        exposed = of_tiles * self._factor(parts.MEMORY_TILES)
        return starts + arithmetic + transfers + exposed - self._hidden(arithmetic, transfers)

    def _on_accelerator(self, machine: Accelerator, cut: Shares) -> Floats:
        starts: Floats = np.asarray(machine.synchronization_seconds * cut.cores * self._factor(parts.SYNCHRONIZATION))
        starts = starts + machine.launch_seconds * self._factor(parts.LAUNCH)
        alone = cut.layers == 1
        kept = cut.weight_bytes <= machine.weight_buffer_bytes
        fetches = np.where(kept, 1.0, cut.passes)
        pieces = np.where(alone, np.maximum(cut.slices, cut.columns), cut.slices)
        first_pieces = np.where(alone, pieces, cut.layer_slices)
        last_pieces = np.where(fetches == cut.passes, pieces, cut.columns)
        call_seconds = machine.tile_seconds * self._factor(parts.CALLS)
        calls = (fetches * pieces + (cut.passes - fetches) * cut.columns * cut.layers) * call_seconds
        arithmetic = calls + cut.arithmetic
        port, channel = machine.core_bytes_per_second, machine.channel_bytes_per_second
        per_byte = np.maximum(np.ceil(cut.cores / machine.channels) / channel, 1 / port)
        first = cut.input_bytes / (cut.passes * cut.columns)
        last = cut.output_bytes / (cut.passes * np.where(alone, last_pieces, 1.0))
        maps = (cut.input_bytes - first + cut.output_bytes - last) * per_byte
        edges = first * per_byte + last / min(port, channel)
        once, again = self._weight_arrivals(machine, cut, per_byte)
        share = cut.layer_weights / np.maximum(cut.weight_bytes, 1.0)
        exposed = np.maximum(once * share / first_pieces, np.where(kept, once - arithmetic / cut.passes, 0.0))
        beside = _beside_arithmetic(cut, once, fetches, first_pieces, call_seconds)
        idle = np.where(once > 0, arithmetic - beside - maps, 0.0)
        idle = np.maximum(idle, arithmetic / cut.passes / last_pieces)
        transfers = maps * self._factor(parts.MAPS) + (once - exposed) * self._factor(parts.WEIGHTS)
        transfers = transfers + again * (fetches - 1) * self._factor(parts.WEIGHTS_AGAIN)
        first_arrivals = exposed * self._factor(parts.FIRST_WEIGHTS) + edges * self._factor(parts.EDGE_ROWS)
        hidden = self._hidden(np.maximum(arithmetic - idle, 0.0), transfers)
        seconds: Floats = starts + arithmetic + transfers + first_arrivals - hidden
        return seconds

    def _weight_arrivals(self, machine: Accelerator, cut: Shares, per_byte: Floats) -> tuple[Floats, Floats]:
        """Seconds until each core has the weights of a step for the first time, and in each later step."""
        if machine.cluster_cores == 1 or cut.inputs_shared:
            once = cut.weight_bytes * per_byte
            return once, once
        # Fetched once per cluster, and delivered from there to its cores.
        sharing = np.minimum(cut.cores, machine.cluster_cores)
        clusters = np.ceil(cut.cores / machine.cluster_cores)
        fetched = cut.weight_bytes * np.ceil(clusters / machine.channels) / machine.channel_bytes_per_second
        port = 1 / machine.core_bytes_per_second
        delivered = cut.weight_bytes * np.maximum(sharing / machine.cluster_bytes_per_second, port)
        once = np.maximum(fetched, delivered)
        return once, np.where(cut.weight_bytes <= machine.cluster_memory_bytes, delivered, once)


def _beside_arithmetic(cut: Shares, once: Floats, fetches: Floats, pieces: Floats, call_seconds: float) -> Floats:
    """Seconds of weights that arrive while a core computes the piece before the one that they are for.

    `once` is how long the weights of a step take, `pieces` into how many the first layer's part of a step is cut.
    """
    per_byte = once / np.maximum(cut.weight_bytes, 1.0)
    arrival = cut.layer_weights * per_byte / pieces
    following = np.zeros_like(arrival)
    following[:, 1:] = (cut.layer_weights / cut.layer_slices * per_byte)[:, :-1]
    piece = cut.layer_arithmetic / cut.passes / pieces + call_seconds
    of_layer = (pieces - 1) * np.minimum(piece, arrival) + np.minimum(piece, following)
    inside = of_layer.cumsum(axis=1)
    # A layer alone is cut along columns, which the same layer in a block of several is not.
    last = cut.layer_arithmetic[:, :1] / cut.passes / cut.layer_slices[:, :1] + call_seconds
    later = inside + np.minimum(last, arrival)
    beside: Floats = inside + (fetches - 1) * later
    return beside
