"""Blocks cut along both axes, as accelerators with small memories do: how often is what computed and read.

The accounting of DeFiNES (Mei et al., HPCA 2023): the block's output is cut into tiles; for each tile every layer
computes what later layers need, and may keep overlaps from the neighbouring tile. For blocks without branches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dlfusion.layers.layer import Layer, Network, Read
from dlfusion.ops.window import Window
from dlfusion.plans.plan import Block


class Overlap(StrEnum):
    """What happens to results that two neighbouring tiles need."""

    RECOMPUTE = "recompute"
    CACHED_X = "cached-x"
    CACHED = "cached"


@dataclass(frozen=True, slots=True)
class TileCost:
    """Totals over all tiles. A multiply-accumulate counts as two operations; input is counted in elements."""

    tiles: int
    operations: int
    input_elements: int


def tile_cost(network: Network, block: Block, columns: int, rows: int, overlap: Overlap) -> TileCost:
    """The cost of a chain of layers whose last output is cut into tiles of `columns` x `rows`.

    Raises:
        ValueError: the block is no chain, or a tile is empty.
    """
    if columns < 1 or rows < 1:
        raise ValueError(f"a tile needs at least 1 x 1 outputs, got {columns} x {rows}")
    chain = _chain(network, block)
    images, _, height, width = network.shape(chain[-1][0].output)
    sizes = [_size(network, layer.output) for layer, _ in chain] + [_size(network, chain[0][1].value)]
    sizes = [sizes[-1], *sizes[:-1]]
    keeps_columns = overlap is not Overlap.RECOMPUTE
    keeps_rows = overlap is Overlap.CACHED
    computed_rows = _computed([read.rows for _, read in chain], [size[0] for size in sizes], height, rows, keeps_rows)
    computed_columns = _computed(
        [read.columns for _, read in chain], [size[1] for size in sizes], width, columns, keeps_columns
    )
    total = 0
    for (layer, _), (layer_height, layer_width), high, wide in zip(
        chain, sizes[1:], computed_rows[1:], computed_columns[1:], strict=True
    ):
        total += layer.features.operations * high * wide // (layer_height * layer_width)
    channels = network.shape(chain[0][1].value)[1]
    tiles = images * -(-height // rows) * -(-width // columns)
    return TileCost(tiles, total, images * channels * computed_rows[0] * computed_columns[0])


def _chain(network: Network, block: Block) -> list[tuple[Layer, Read]]:
    """The layers with the one activation each reads."""
    chain = [(network.layers[index], network.layers[index].reads) for index in block.layers]
    previous = chain[0][1][0].value
    for layer, reads in chain:
        if len(reads) != 1 or reads[0].value != previous:
            raise ValueError(f"layer {layer.index} ({layer.name}) does not simply follow the layer before it")
        previous = layer.output
    return [(layer, reads[0]) for layer, reads in chain]


def _size(network: Network, value: str) -> tuple[int, int]:
    return network.shape(value)[2:]


def _computed(windows: list[Window], sizes: list[int], end: int, step: int, keep: bool) -> list[int]:
    """Along one axis: positions of the input and of each layer that all tiles together compute (or read).

    `sizes` starts with the input's size; with `keep` each position counts once, as it is kept for the next tile.
    """
    totals = [0] * len(sizes)
    done = [0] * len(sizes)
    for spans in _spans(windows, sizes, end, step):
        for i, (first, last) in enumerate(spans):
            totals[i] += max(last - max(first, done[i]), 0) if keep else last - first
            done[i] = last
    return totals


def _spans(windows: list[Window], sizes: list[int], end: int, step: int) -> Iterator[list[tuple[int, int]]]:
    """For each tile, the range of positions of the input and of each layer that it needs."""
    for first in range(0, end, step):
        spans = [(first, min(first + step, end))]
        for window, size in zip(reversed(windows), reversed(sizes[:-1]), strict=True):
            low, high = spans[-1]
            spans.append((max(window.first(low), 0), min(window.end(high), size)))
        yield spans[::-1]
