"""Ways to run a layer with bfloat16: which storage kernels offer under `--precision bf16`, and when it is used."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from dlfusion.graph.graph import Array
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.bfloat16 import storable
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.precision import Storage

NARROW_OUTPUTS = 128
"""Maps of at most so many pixels use a weight so seldom that reading it as bfloat16 gains more than widening it costs.

Measured on Sapphire Rapids with cold weights: fully connected layers 1.6 to 2.1 times faster, 3x3 of 512 channels on
7x7 1.2 times, 1x1 on 7x7 1.05 to 1.2 times; on 14x14 equal, on larger maps 2 to 4 percent slower.
"""

_CONVERSION_CYCLES = 1.25
"""Of one vector of inputs to bfloat16: stores limit it, to which memory adds a little (measured on Zen 4)."""

_TILE_FLOATS = 64 * 1024
"""Scratch memory that leaves room for weights in the second-level cache."""

Lower = Callable[[Storage], Lowered | None]
"""The way to run a layer with its weights stored so; None if the kernel cannot."""


def convolution_storage(output: Shape, isa: Isa) -> Storage | None:
    """What a convolution gains from: products of pairs, bytes that need not be read, or nothing.

    With one pixel all time goes into reading weights; then inputs need not be rounded.
    """
    pixels = output[2] * output[3]
    if isa.multiplies_bfloat16 and pixels > 1:
        return Storage.BFLOAT16_PAIRS
    return Storage.BFLOAT16 if pixels <= NARROW_OUTPUTS else None


def ways(lower: Lower, weights: Array, storage: Storage | None) -> tuple[Lowered, ...]:
    """The way to run a layer in float32, with an offer of the one that stores these weights as `storage`."""
    way = lower(Storage.FLOAT32)
    if way is None:
        return ()
    if storage is None:
        return (way,)
    cycles = way.cycles

    def narrow() -> Lowered | None:
        found = lower(storage) if storable(weights) else None
        # Smaller weights are offered where they are known to pay, which cycles do not show; pairs must save cycles.
        saves = found is not None and (storage is Storage.BFLOAT16 or found.cycles < cycles)
        return found if saves else None

    return (replace(way, narrow=narrow),)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Input rows that a kernel converts before it multiplies them (`NarrowedRows` in bfloat16_pairs.hpp).

    `rows` is how many the scratch memory of `floats` holds, `cycles` what converting takes in the whole layer if each
    call produces one output row, so that rows which several of them read are converted for each.
    """

    rows: int = 0
    floats: int = 0
    cycles: float = 0.0


def conversion(
    storage: Storage, inputs: Shape, output: Shape, columns: int, window_rows: int, row_stride: int, isa: Isa
) -> Conversion:
    """What a convolution converts that reads `columns` columns, and for each output row `window_rows` rows."""
    if storage is not Storage.BFLOAT16_PAIRS:
        return Conversion()
    units = math.ceil(inputs[1] / isa.lanes)
    row_floats = units * math.ceil(columns / 2) * isa.lanes
    tile = max(1, min(output[2], _TILE_FLOATS // (row_floats * row_stride)))
    rows = (tile - 1) * row_stride + window_rows
    cycles = output[0] * output[2] * window_rows * units * columns * _CONVERSION_CYCLES
    return Conversion(rows, rows * row_floats, cycles)
