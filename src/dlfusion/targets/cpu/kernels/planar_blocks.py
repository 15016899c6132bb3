"""The register block of planar convolutions: how many output channels x vectors of columns are summed at once."""

import math
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
    8: {1: 7, 2: 4, 3: 3, 4: 2, 5: 2, 6: 2, 8: 1},
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


def choose(channels: int, width: int, phases: int, taps: int, isa: Isa) -> tuple[PlanarBlock, float] | None:
    """The fastest block, and the estimated cycles of one output row of all channels; None if no block has the phases.

    `width` is the number of columns per phase; a channel counts once for each of its `phases`.
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
            number * _block_cycles(group * phases, size, taps, isa)
            for group in groups
            for size, number in ((vectors, segments - short), (vectors - 1, short))
            if number
        )
        if best is None or cycles < best[0]:
            best = (cycles, block)
    return None if best is None else (best[1], best[0])


def _block_cycles(sums: int, vectors: int, taps: int, isa: Isa) -> float:
    """Cycles of one register block.

    Nearly every load that is not aligned touches two cache lines if a vector is as wide as a line, else every other.
    """
    products = sums * vectors
    loads = vectors * (1.9 if isa.lanes == 16 else 1.5) + sums
    step = max(
        products / MULTIPLY_ADDS_PER_CYCLE,
        loads / LOADS_PER_CYCLE,
        MULTIPLY_ADD_LATENCY,
        (products + vectors + sums + 3) / INSTRUCTIONS_PER_CYCLE,
    )
    return taps * step + 2.0 * products + 30.0
