"""The register block of a convolution: how many output vectors x pixels its innermost loop sums at once."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dlfusion.targets.cpu.isa import Isa

MULTIPLY_ADDS_PER_CYCLE = 2.0
LOADS_PER_CYCLE = 2.0
MULTIPLY_ADD_LATENCY = 4.0
INSTRUCTIONS_PER_CYCLE = 5.0


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


def step_cycles(units: int, pixels: int, isa: Isa) -> float:
    """Cycles of one lane step: `units` loads of weights, `pixels` broadcasts, and units x pixels multiply-adds.

    The bound is the slowest of arithmetic, loads, latency and instruction issue, on cores with two vector
    multiply-adds and two loads per cycle (all since Haswell; a core with half of both scales every layer alike). Two
    percent more than the bound is what the kernel is measured to take.
    """
    products = units * pixels
    broadcasts = 0 if isa.lanes == 16 and units == 1 else pixels
    instructions = products + units + broadcasts + 3
    return 1.02 * max(
        products / MULTIPLY_ADDS_PER_CYCLE,
        (units + pixels) / LOADS_PER_CYCLE,
        MULTIPLY_ADD_LATENCY,
        instructions / INSTRUCTIONS_PER_CYCLE,
    )


def choose(output_units: int, width: int, isa: Isa, fewest_pixels: int = 1) -> RegisterBlock:
    """The fastest block for `output_units` vectors of output channels and rows of `width` columns."""
    best: tuple[float, int, RegisterBlock] | None = None
    for units in range(1, min(output_units, 8) + 1):
        largest = most_pixels(units, isa)
        if largest < fewest_pixels:
            continue
        for count in {math.ceil(width / largest), math.ceil(width / largest) + 1}:
            pixels = math.ceil(width / min(count, width))
            block = RegisterBlock(units, pixels, output_units % units, int(pixels * math.ceil(width / pixels) != width))
            cost = _cost(block, output_units, width, isa)
            # Between equals, fewer units: their weights need less bandwidth.
            if best is None or (cost, units) < best[:2]:
                best = (cost, units, block)
    if best is None:
        raise ValueError(f"no register block for {output_units} output vectors of {width} columns")
    return best[2]


def most_pixels(units: int, isa: Isa) -> int:
    """The widest block of `units` vectors whose sums, weights and one broadcast fit into the registers."""
    return max((isa.vector_registers - min(units, isa.vector_registers // 8) - (isa.lanes != 16)) // units, 1)


def _cost(block: RegisterBlock, output_units: int, width: int, isa: Isa) -> float:
    steps = 256.0
    cycles = 0.0
    for _, units in block.groups(output_units):
        for pixels in block.segments(width):
            cycles += steps * step_cycles(units, pixels, isa) + 2.0 * units * pixels + 25.0
    return cycles
