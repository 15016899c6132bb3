"""The register block of planar convolutions: how many output channels x vectors of columns are summed at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernels.register_blocks import (
    INSTRUCTIONS_PER_CYCLE,
    LOADS_PER_CYCLE,
    MULTIPLY_ADD_LATENCY,
    MULTIPLY_ADDS_PER_CYCLE,
)

_MOST_VECTORS = {
    16: {1: 12, 2: 10, 3: 7, 4: 6, 5: 5, 6: 4, 7: 3, 8: 3, 10: 2, 12: 2},
    8: {1: 7, 2: 4, 3: 3, 4: 3, 5: 2, 6: 2, 8: 1},
    4: {1: 14, 2: 10, 3: 7, 4: 6, 5: 5, 6: 4, 7: 3, 8: 3, 10: 2, 12: 2},
}
"""For each number of lanes: sums per column -> the widest block whose sums, inputs and one weight fit the registers."""


@dataclass(frozen=True, slots=True)
class PlanarBlock:
    """`channels` outputs x `vectors` of columns; `rest` output channels are left over after groups of `channels`.

    With `short` = 1 some segments of a row are one vector shorter, so that the row's width divides.
    """

    channels: int
    vectors: int
    rest: int
    short: int


_FETCH_BYTES_PER_CYCLE = 48.0
"""From the second-level cache, where the rows of the input are."""


@dataclass(frozen=True, slots=True)
class PlanarTaps:
    """The input elements that one output channel reads for its sums at one column.

    `counts` says how many there are, by the number of sums that each is added to; `columns` neighbouring elements lie
    in the same row.
    """

    counts: Mapping[int, float]
    columns: int


def choose(channels: int, width: int, phases: int, taps: PlanarTaps, isa: Isa) -> tuple[PlanarBlock, float] | None:
    """The fastest block, and the estimated cycles of one output row of all channels; None if no block has the phases.

    `width` is the number of columns per phase; a channel has a sum for each of its `phases`.
    """
    total = math.ceil(width / isa.lanes)
    best: tuple[float, PlanarBlock] | None = None
    for sums, most in _MOST_VECTORS[isa.lanes].items():
        count = sums // phases
        if count == 0 or count > channels or sums % phases:
            continue
        segments = math.ceil(total / most)
        vectors = math.ceil(total / segments)
        segments = math.ceil(total / vectors)
        block = PlanarBlock(count, vectors, channels % count, int(vectors * segments != total))
        groups = [count] * (channels // count) + ([block.rest] if block.rest else [])
        short = vectors * segments - total
        cycles = sum(
            number * _block_cycles(group, size, phases, taps, index == 0, isa)
            for index, group in enumerate(groups)
            for size, number in ((vectors, segments - short), (vectors - 1, short))
            if number
        )
        if best is None or cycles < best[0]:
            best = (cycles, block)
    return None if best is None else (best[1], best[0])


def _block_cycles(channels: int, vectors: int, phases: int, taps: PlanarTaps, fetches: bool, isa: Isa) -> float:
    """Cycles of one register block: its multiply-adds, then its epilogue and stores, and the call.

    The block that `fetches` reads the input first, others find it in the first-level cache.
    """
    fetched_bytes = vectors * isa.lanes * 4 / taps.columns if fetches else 0.0
    summing = sum(
        count * _tap_cycles(channels * sums, vectors, taps.columns, fetched_bytes, isa)
        for sums, count in taps.counts.items()
    )
    waiting = MULTIPLY_ADD_LATENCY * sum(sums * count for sums, count in taps.counts.items()) / phases
    return max(summing, waiting) + 1.5 * channels * phases * vectors + 30.0


def _tap_cycles(sums: int, vectors: int, columns: int, fetched_bytes: float, isa: Isa) -> float:
    """Cycles in which `vectors` of the input are added to `sums` sums each.

    All but one of `columns` neighbouring loads are not aligned. Nearly every such load touches two cache lines if a
    vector is as wide as a line, else every other. Fetching delays loads, and hides behind multiply-adds.
    """
    products = sums * vectors
    crossing = (0.9 if isa.lanes == 16 else 0.5) * (columns - 1) / columns
    loads = vectors * (1 + crossing) + sums
    return max(
        products / MULTIPLY_ADDS_PER_CYCLE,
        loads / LOADS_PER_CYCLE + fetched_bytes / _FETCH_BYTES_PER_CYCLE,
        (products + vectors + sums + 3) / INSTRUCTIONS_PER_CYCLE,
    )
