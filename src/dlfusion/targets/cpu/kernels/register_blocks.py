"""The register block of a convolution: how many output vectors x pixels its innermost loop sums at once."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.precision import Storage

MULTIPLY_ADDS_PER_CYCLE = 2.0
LOADS_PER_CYCLE = 2.0
MULTIPLY_ADD_LATENCY = 4.0
INSTRUCTIONS_PER_CYCLE = 5.0
WEIGHT_BYTES_PER_CYCLE = 48.0

GROUP_WEIGHT_BYTES = 768 * 1024
CROWDED_FACTOR = 1.1
"""The weights of a block's output units should leave room in the second-level cache for the next ones (measured)."""


@dataclass(frozen=True, slots=True)
class RegisterBlock:
    """`units` output vectors x `pixels` columns; `rest` output units are left over after groups of `units`.

    With `short` = 1 some segments of a row are one pixel shorter, so that the row's width divides.
    """

    units: int
    pixels: int
    rest: int
    short: int

    def groups(self, output_units: int) -> Iterator[tuple[int, int]]:
        """First unit and number of units of each group."""
        for first in range(0, output_units, self.units):
            yield first, min(self.units, output_units - first)

    def segments(self, width: int) -> list[int]:
        """The number of pixels of each segment of a row of `width` columns."""
        count = math.ceil(width / self.pixels)
        full = width - count * (self.pixels - 1) if self.short else count
        return [self.pixels] * full + [self.pixels - 1] * (count - full)


_MOST_PIXELS: Mapping[int, Mapping[int, int]] = {
    16: {1: 28, 2: 14, 3: 9, 4: 7, 5: 5, 6: 4, 8: 3},
    8: {1: 12, 2: 6, 3: 4, 4: 2, 5: 2, 6: 1},
    4: {1: 27, 2: 13, 3: 8, 4: 6, 5: 5, 6: 4, 8: 2},
}
"""For each number of lanes: output vectors -> the widest block that compilers keep in 32 or 16 registers (measured).

With 4 lanes there are 32 (aarch64), but inputs take some of them, which AVX-512 multiplies where they are in memory.
"""


def widest_blocks(isa: Isa) -> Mapping[int, int]:
    """For each number of output vectors, the most pixels of a block that fits the registers."""
    return _MOST_PIXELS[isa.lanes]


def step_cycles(units: int, pixels: int, isa: Isa, storage: Storage = Storage.FLOAT32) -> float:
    """Cycles of one lane step: `units` loads of weights, `pixels` broadcasts, and units x pixels multiply-adds.

    The bound is the slowest of arithmetic, loads, latency, instruction issue and weights from the second-level cache,
    on cores with two vector multiply-adds and two loads per cycle (all since Haswell; a core with half of both scales
    every layer alike). Measured times are within five percent of it. Two units of bfloat16 take one load and one shift,
    an odd one a load and two instructions; they run on the ports of the multiply-adds. A product of pairs takes as long
    as a multiply-add of float32: such instruction sets are chosen where that is so.
    """
    products = units * pixels
    loads, widening = (units - units // 2, units // 2 + units % 2 * 2) if storage is Storage.BFLOAT16 else (units, 0)
    return max(
        (products + widening) / MULTIPLY_ADDS_PER_CYCLE,
        (loads + pixels) / LOADS_PER_CYCLE,
        MULTIPLY_ADD_LATENCY,
        (products + widening + loads + pixels + 3) / INSTRUCTIONS_PER_CYCLE,
        units * isa.lanes * storage.channels * storage.weight_bytes / WEIGHT_BYTES_PER_CYCLE,
    )


def choose(
    output_units: int, height: int, width: int, steps: int, isa: Isa, storage: Storage = Storage.FLOAT32
) -> RegisterBlock:
    """The fastest block for `output_units` vectors of output channels and `height` rows of `width` columns.

    `steps` is the number of lane steps that each output sums: input channels x kernel taps / channels of a step.
    """
    best: tuple[float, int, RegisterBlock] | None = None
    for units, most in widest_blocks(isa).items():
        if units > output_units:
            continue
        segments = math.ceil(width / most)
        pixels = math.ceil(width / segments)
        short = int(pixels * math.ceil(width / pixels) != width)
        block = RegisterBlock(units, pixels, output_units % units, short)
        cost = row_cycles(block, [steps] * math.ceil(output_units / units), width, isa, storage)
        reused = height * segments > 1
        if reused and steps * units * isa.lanes * storage.channels * storage.weight_bytes > GROUP_WEIGHT_BYTES:
            cost *= CROWDED_FACTOR
        # Between equals, fewer units: their weights need less bandwidth.
        if best is None or (cost, units) < best[:2]:
            best = (cost, units, block)
    if best is None:
        raise ValueError(f"no register block for {output_units} output vectors of {width} columns")
    return best[2]


def segment_cycles(steps: float, units: int, pixels: int, isa: Isa, storage: Storage = Storage.FLOAT32) -> float:
    """Cycles of one register block: its lane steps, then epilogue and stores, and the call."""
    return steps * step_cycles(units, pixels, isa, storage) + 1.5 * units * pixels + 25.0


def row_cycles(
    block: RegisterBlock, steps: Sequence[float], width: int, isa: Isa, storage: Storage = Storage.FLOAT32
) -> float:
    """Cycles of one output row of all channels; `steps` gives the lane steps for each group of output units."""
    cycles = 0.0
    for group, count in enumerate(steps):
        units = block.rest if block.rest and group == len(steps) - 1 else block.units
        cycles += sum(segment_cycles(count, units, pixels, isa, storage) for pixels in block.segments(width))
    return cycles
