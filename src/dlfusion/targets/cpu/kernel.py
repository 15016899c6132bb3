"""How a layer becomes one call of the kernel library: the seam between kernels and the code around them.

Each file in `targets/cpu/kernels/` offers `candidates(layer, network, isa)`: the ways it can run that layer, or none.
The C++ side of a kernel is a function template in `targets/cpu/include/` with the signature
`void kernel<...>(const ShapeType& shape, const Call& call)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from dlfusion.layers.algorithm import Algorithm
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.section import Section


class Layout(StrEnum):
    """How a tensor lies in memory; `rows.hpp` states both."""

    BLOCKED = "blocked"
    PLANAR = "planar"


@dataclass(frozen=True, slots=True)
class Pads:
    """Columns of zeros before and after each row of a channel unit."""

    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class Lowered:
    """One way to run a layer.

    `function` is the full template-id to instantiate, such as `conv_blocked<2, 14, 16, Epilogue<Sigmoid, Clip>>`; its
    header is `header`. `shape` is the C++ initializer of a static constant of type `shape_type`. `constants` is the
    layer's packed section of the weights file. `input_layouts` and `input_pads` (the least that the kernel reads over)
    are given for each of the layer's reads. `output_pads` is the least that the kernel writes over; its columns are
    zero again when the kernel returns. `cycles` estimates one core's clock cycles for the whole layer, to choose
    between candidates. `scratch_floats` is memory that the kernel works in during a call, one for each core. `narrow`
    gives the way to run the layer with bfloat16 where that is faster (`kernels/narrowing.py`).
    """

    header: str
    function: str
    shape_type: str
    shape: str
    input_layouts: tuple[Layout, ...]
    output_layout: Layout
    cycles: float
    input_pads: tuple[Pads, ...]
    output_pads: Pads = Pads()
    constants: Section = field(default_factory=Section)
    algorithm: Algorithm = Algorithm.DIRECT
    scratch_floats: int = 0
    narrow: "Callable[[], Lowered | None] | None" = None

    def stored(self, precision: Precision) -> "Lowered":
        """The way to run the layer in `precision`: the same, unless the kernel offers a faster one."""
        found = self.narrow() if precision is Precision.BF16 and self.narrow is not None else None
        return found or self
