"""Rows, bytes and steps of all short ranges of layers at once: what lets the joint strategy decide in milliseconds.

The exact row arithmetic is `plans/schedule.py`, one block at a time. Here the same recurrences run for every range of
up to `longest` layers, every core count and every step together, as NumPy arrays: for a core of the largest band,
nearest to the middle, so that it has halo on both sides. Rows are exact for that core; rows held in line buffers and
the steps before the first output take a layer's progress as linear in the clock, which is off by a row at most where
strides do not divide heights. The choices made from these tables are checked with the exact arithmetic.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm, output_tile, weight_bytes
from dlfusion.layers.layer import Layer, Network
from dlfusion.search.blocks import stands_alone

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NOWHERE = 1 << 40
"""A row that lies below all others: where nothing is read."""

HOPELESS = 1.5
"""Times the limit of a core's memory; the numbers of ranges are exact enough to judge by that."""

_ROUNDING = 1e-9
"""Taken from rows before they are rounded up, so that the error of a division does not add a row."""


@dataclass(frozen=True, eq=False)
class Facts:
    """A network as arrays. Values are numbered: first the outputs of the layers in order, then the model's inputs.

    Attributes:
        images: images in a batch.
        heights, row_bytes: rows of one image of each value, and bytes of one row.
        last_reader: the last layer that reads each value; the number of layers if it is an output of the model.
        reads: the values that each layer reads (first axis), -1 where it reads fewer than others.
        windows: multiplier, first offset, last offset and divisor (last axis) of each read's rows.
        tiles: rows that each layer's algorithm computes at once; 1 if it is direct.
        weight_bytes: of each layer, as its algorithm stores them.
        alone: layers that no fused block can hold.
        streams: layers whose rows several cores can share.
        channels: output channels of layers that cores can share by channels; 1 for the others.
    """

    images: int
    heights: Ints
    row_bytes: Floats
    last_reader: Ints
    reads: Ints
    windows: Ints
    tiles: Ints
    weight_bytes: Floats
    alone: Flags
    streams: Flags
    channels: Ints


def facts(network: Network, element_bytes: int, algorithms: tuple[tuple[int, str], ...] = ()) -> Facts:
    """The network's numbers; bytes are of elements of `element_bytes`.

    `algorithms` has the layers that are not computed directly.
    """
    named = dict(algorithms)
    names = [named.get(layer.index, Algorithm.DIRECT) for layer in network.layers]
    layers = network.layers
    values = [layer.output for layer in layers] + [port.value for port in network.graph.inputs]
    number = {value: i for i, value in enumerate(values)}
    shapes = [network.shape(value) for value in values]
    outputs = {port.value for port in network.graph.outputs}
    most = max(len(layer.reads) for layer in layers)
    reads = np.full((len(layers), most), -1)
    windows = np.ones((len(layers), most, 4), np.int64)
    for i, layer in enumerate(layers):
        for k, read in enumerate(layer.reads):
            rows = read.rows
            reads[i, k] = number[read.value]
            windows[i, k] = rows.multiplier, rows.first_offset, rows.last_offset, rows.divisor
    none = (len(layers),)
    return Facts(
        shapes[len(layers) - 1][0],
        np.array([shape[2] for shape in shapes]),
        np.array([shape[1] * shape[3] * element_bytes for shape in shapes], np.float64),
        np.array([none[0] if v in outputs else network.consumers.get(v, none)[-1] for v in values]),
        reads,
        windows,
        np.array([output_tile(name) for name in names]),
        np.array([_weights(network, *way) * element_bytes for way in zip(layers, names, strict=True)], np.float64),
        np.array([stands_alone(network, i) for i in range(len(layers))]),
        np.array([_shares_rows(layer) for layer in layers]),
        np.array([_shared_channels(layer) for layer in layers]),
    )


def _weights(network: Network, layer: Layer, algorithm: str) -> int:
    """Elements."""
    return weight_bytes(network, layer, algorithm) // FLOAT_BYTES


def _shares_rows(layer: Layer) -> bool:
    return all(node.operator.streams for node in layer.nodes)


def _shared_channels(layer: Layer) -> int:
    return layer.features.output_channels if all(node.operator.splits_channels for node in layer.nodes) else 1


@dataclass(frozen=True, eq=False)
class Tables:
    """Numbers of every range of layers, of one run on one core.

    Axes are the range's last layer, how many layers come before it, core count and, where there is a fourth, step.

    Attributes:
        steps: rows of the last layer in one step; the last entry stands for the whole band.
        legal: ranges and core counts (three axes) that can be blocks, limits of memory apart.
        arithmetic: the given seconds of the layers, scaled by the rows that the core computes (four axes; the last of
            length 1 if no layer computes more rows at once than it is asked for).
        input_bytes, output_bytes: what the core reads and writes of values that other blocks see.
        weight_bytes: of all layers of the range (two axes).
        inner_bytes: rows written into line buffers.
        passes: steps that the core makes, those before its first output included (four axes).
        ring_bytes: line buffers (four axes).
        held_bytes: line buffers and twice what a step reads and writes (four axes).
        tallest: rows of the range's tallest output over rows of its last layer (two axes).
    """

    steps: tuple[int, ...]
    legal: Flags
    arithmetic: Floats
    input_bytes: Floats
    output_bytes: Floats
    weight_bytes: Floats
    inner_bytes: Floats
    passes: Floats
    ring_bytes: Floats
    held_bytes: Floats
    tallest: Floats


@lru_cache(maxsize=4096)
def largest_band(rows: int, cores: int) -> tuple[int, int]:
    """The first and end row of the band with the most rows, of those nearest to the middle; empty if rows do not do."""
    if cores > rows:
        return 0, 0
    cuts = [rows * core // cores for core in range(cores + 1)]
    middle = (cores - 1) / 2
    core = min(range(cores), key=lambda k: (cuts[k] - cuts[k + 1], abs(k - middle), -k))
    return cuts[core], cuts[core + 1]


class _Made(NamedTuple):
    """What the layers that ranges grow by produce: rows by core count, progress ahead of the clock, rows per step."""

    first: Ints
    length: Ints
    ahead: Floats
    step_rows: Floats


class _Growing:
    """The state of all ranges while they grow by one layer at the front, for every last layer at once."""

    def __init__(self, known: Facts, cores: tuple[int, ...], steps: tuple[int, ...], seconds: Floats) -> None:
        self.known, self.seconds = known, seconds
        count, values = len(known.reads), len(known.heights)
        self.last = np.arange(count)
        heights = known.heights[:count]
        bands = np.array([[largest_band(known.images * int(rows), c) for c in cores] for rows in heights])
        first, end = bands[..., 0], bands[..., 1]
        self.shared = end > first
        in_image = first % heights[:, None]
        self.length = np.minimum(end - first, heights[:, None] - in_image)
        self.repeat = np.where(self.shared, (end - first) / np.maximum(self.length, 1), 0.0)
        self.band_first, self.band_end = in_image, in_image + self.length
        self.rate = known.heights[None, :] / heights[:, None]
        whole = self.length[:, :, None]
        self.step = np.minimum(np.array((*steps, _NOWHERE))[None, None, :], np.maximum(whole, 1))
        least = np.minimum(known.images * heights[:, None] // np.array(cores), self.length)
        self.missing = self.length - least
        self.covers = self.step >= whole
        self.covers_least = (self.step >= least[:, :, None]).astype(np.int64)
        self.row_step = np.minimum(np.array((*steps, _NOWHERE))[None, :], heights[:, None]).astype(np.float64)
        shape = (count, values, len(cores))
        self.wanted_first = np.full(shape, _NOWHERE)
        self.wanted_end = np.zeros(shape, np.int64)
        self.ahead = np.full((count, values), -np.inf)
        self.lowest = np.full((count, values, len(steps) + 1), np.inf)
        cut = (count, len(cores))
        self.inputs, self.outputs, self.inner = (np.zeros(cut) for _ in range(3))
        self.arithmetic = np.zeros((*cut, len(steps) + 1 if (known.tiles > 1).any() else 1))
        self.lead = np.zeros(cut)
        self.weights = np.zeros(count)
        self.tallest = np.ones(count)
        self.rings, self.arriving, self.leaving = (np.zeros((*cut, len(steps) + 1)) for _ in range(3))

    def grow(self, depth: int, last: Ints) -> None:
        """Add the layer that lies `depth` layers before each of these last layers."""
        known = self.known
        layer = last - depth
        height = known.heights[layer][:, None]
        rate = self.rate[last, layer]
        row_bytes = known.row_bytes[layer][:, None]
        is_output = known.last_reader[layer] > last
        read = np.nonzero(self.wanted_end[last, layer].any(axis=1))[0]
        if read.size:
            self._count_input(last[read], layer[read], -1)
        own_first = np.where(
            is_output[:, None], self.band_first[last] * height // known.heights[last][:, None], _NOWHERE
        )
        own_end = np.where(is_output[:, None], self.band_end[last] * height // known.heights[last][:, None], 0)
        first = np.minimum(own_first, self.wanted_first[last, layer])
        length = np.maximum(np.maximum(own_end, self.wanted_end[last, layer]) - first, 0)
        first = np.where(length > 0, first, 0)
        ahead = np.maximum(np.where(is_output, 0.0, -np.inf), self.ahead[last, layer])
        step_rows = rate[:, None] * self.row_step[last]
        if read.size:
            some, rows = last[read], length[read]
            held = np.ceil(ahead[read, None] - self.lowest[some, layer[read]] - _ROUNDING)
            self.rings[some] += self._under_way(some, held, rows, rate[read]) * row_bytes[read, :, None]
            self.inner[some] += rows * row_bytes[read]
        stored = np.where(is_output[:, None], own_end - own_first, 0)
        leaving = 2 * np.minimum(np.ceil(step_rows)[:, None, :], stored[:, :, None])
        self.leaving[last] += leaving * row_bytes[:, :, None]
        self.lead[last] = np.maximum(self.lead[last], self.band_first[last] + (ahead[:, None] - first) / rate[:, None])
        self._compute(last, layer, _Made(first, length, ahead, step_rows))
        self.outputs[last] += stored * row_bytes
        self.weights[last] += known.weight_bytes[layer]
        self.tallest[last] = np.maximum(self.tallest[last], np.where(is_output, rate, 0.0))
        made = _Made(first, length, ahead, step_rows)
        for slot in range(known.reads.shape[1]):
            self._read(last, layer, slot, made)

    def _compute(self, last: Ints, layer: Ints, made: "_Made") -> None:
        """Add the arithmetic of the layers; those in tiles compute whole rows of tiles in each step."""
        known = self.known
        tile = known.tiles[layer]
        rows = -(-known.heights[layer] // tile) * tile
        per_row = (self.seconds[layer] / rows / known.images)[:, None, None]
        computed = made.length[:, :, None].astype(np.float64)
        some = np.nonzero(tile > 1)[0]
        if some.size:
            computed = np.repeat(computed, self.arithmetic.shape[2], axis=2)
            length, step = made.length[some, :, None], np.maximum(made.step_rows[some, None, :], 1.0)
            rate = self.rate[last[some], layer[some]][:, None]
            ahead = np.where(np.isfinite(made.ahead[some]), made.ahead[some], 0.0)[:, None]
            begun = rate * self.band_first[last[some]] + ahead - made.first[some]
            step = np.where(self.covers[last[some]], np.maximum(length, 1), step)
            first = np.where(self.covers[last[some]], 0.0, np.mod(begun[:, :, None], step))
            computed[some] = tile_rows(length, step, first, tile[some, None, None])
        self.arithmetic[last] += per_row * computed

    def _under_way(self, last: Ints, rows: Floats, length: Ints, rate: Floats) -> Floats:
        """Rows of a value in the busiest step of any core (by last layer, core count and step).

        `rows` of a full step (by last layer and step) or all of the core's `length`, where the step covers the band.
        Steps that cover only the smaller bands have all rows of such a band in one step.
        """
        smaller = np.maximum(length - np.ceil(rate)[:, None] * self.missing[last], 0)
        within = np.maximum(
            np.minimum(rows[:, None, :], length[:, :, None]), self.covers_least[last] * smaller[:, :, None]
        )
        return np.where(self.covers[last], length[:, :, None], within)

    def _count_input(self, last: Ints, value: Ints, sign: int) -> None:
        """Add (or take away) what a value costs as an input: bytes read, and bytes on the chip by step."""
        length = np.maximum(self.wanted_end[last, value] - self.wanted_first[last, value], 0)
        row_bytes = sign * self.known.row_bytes[value][:, None]
        rate = self.rate[last, value]
        held = np.ceil(self.ahead[last, value][:, None] - self.lowest[last, value] - _ROUNDING)
        added = np.ceil(rate[:, None] * self.row_step[last])
        rows = self._under_way(last, held, length, rate) + self._under_way(last, added, length, rate)
        self.inputs[last] += length * row_bytes
        self.arriving[last] += rows * row_bytes[:, :, None]

    def _read(self, last: Ints, layer: Ints, slot: int, made: "_Made") -> None:
        """The layers read the values in this slot for the rows that they make."""
        known = self.known
        value = known.reads[layer, slot]
        chosen = np.nonzero(value >= 0)[0]
        last, layer, value = last[chosen], layer[chosen], value[chosen]
        first, length, ahead = made.first[chosen], made.length[chosen], made.ahead[chosen]
        known_end = self.wanted_end[last, value]
        again = np.nonzero(known_end.any(axis=1))[0]
        if again.size:
            self._count_input(last[again], value[again], -1)
        multiplier, first_offset, last_offset, divisor = known.windows[layer, slot].T
        low = np.maximum((first * multiplier[:, None] + first_offset[:, None]) // divisor[:, None], 0)
        end = ((first + length - 1) * multiplier[:, None] + last_offset[:, None]) // divisor[:, None] + 1
        end = np.maximum(np.minimum(end, known.heights[value][:, None]), 0)
        made_any = length > 0
        known_first = self.wanted_first[last, value]
        self.wanted_first[last, value] = np.where(made_any, np.minimum(known_first, low), known_first)
        self.wanted_end[last, value] = np.where(made_any, np.maximum(known_end, end), known_end)
        target = ((ahead - 1) * multiplier + last_offset) / divisor + 1
        lowest = (ahead[:, None] - made.step_rows[chosen]) * multiplier[:, None] + first_offset[:, None]
        self.ahead[last, value] = np.maximum(self.ahead[last, value], target)
        self.lowest[last, value] = np.minimum(self.lowest[last, value], lowest / divisor[:, None])
        self._count_input(last, value, 1)

    def passes(self) -> Floats:
        """Steps of the core: those that cover its band and those before its first output."""
        lead = np.where(self.length[:, :, None] <= self.step, 0.0, np.ceil(self.lead[:, :, None] / self.step - 1e-9))
        passes: Floats = self.repeat[:, :, None] * (np.ceil(self.length[:, :, None] / self.step) + lead)
        return passes


def tile_rows(length: Ints | Floats, step: Floats, first: Floats, tile: Ints) -> Floats:
    """Rows computed of `length` that are asked for, in calls for `first` rows, then for `step` each, then for the rest.

    Each call computes whole rows of tiles of `tile` rows.
    """

    def rounded(rows: Floats) -> Floats:
        whole: Floats = np.ceil(rows / tile - _ROUNDING) * tile
        return whole

    first = np.minimum(first, length)
    calls = np.floor((length - first) / step + _ROUNDING)
    computed: Floats = rounded(first) + calls * rounded(step) + rounded(length - first - calls * step)
    return computed


def _steps(tiles: Ints, tallest: int) -> tuple[int, ...]:
    """Rows per step that are tried beside whole bands: powers of two, and whole tiles where these are no such power."""
    powers = tuple(1 << k for k in range(5) if 1 << k < tallest) or (1,)
    odd = {int(tile) for tile in tiles if tile & (tile - 1)}
    return tuple(sorted({*powers, *(size * rows for rows in odd for size in (1, 2) if size * rows < tallest)}))


def tabulate(
    known: Facts, cores: tuple[int, ...], longest: int, seconds: Floats, limit_bytes: int | None = None
) -> Tables:
    """The numbers of all ranges of up to `longest` layers; `seconds` has each layer's arithmetic on one core.

    A range whose buffers are `HOPELESS` times over the limit is given up, with all that hold it.
    """
    count = len(known.reads)
    longest = min(longest, count)
    tallest = int(known.heights[:count].max())
    steps = _steps(known.tiles, tallest)
    growing = _Growing(known, cores, steps, seconds)
    open_range = np.ones(count, bool)
    legal, columns = [], []
    for depth in range(longest):
        open_range = open_range & (growing.last >= depth)
        if depth:
            open_range = open_range & ~known.alone[np.maximum(growing.last - depth, 0)] & ~known.alone
        growing.grow(depth, np.nonzero(open_range)[0])
        alone = known.streams[:, None] | (np.array(cores) == 1) | (known.heights[:count, None] == 1)
        legal.append(open_range[:, None] & growing.shared & alone)
        held = growing.rings + growing.arriving + growing.leaving
        if limit_bytes is not None and depth:
            open_range = open_range & (held.min(axis=(1, 2)) <= HOPELESS * limit_bytes)
        repeat = growing.repeat
        columns.append(
            (
                growing.arithmetic * repeat[:, :, None],
                growing.inputs * repeat,
                growing.outputs * repeat,
                growing.weights.copy(),
                growing.inner * repeat,
                growing.passes(),
                growing.rings.copy(),
                held,
                growing.tallest.copy(),
            )
        )
    stacked = [np.stack(column, axis=1) for column in zip(*columns, strict=True)]
    return Tables((*steps, 0), np.stack(legal, axis=1), *stacked)
