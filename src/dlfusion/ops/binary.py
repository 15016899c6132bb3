"""What operators have in common that combine two operands element by element."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import Parameters, require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.pointwise import Pointwise
from dlfusion.ops.window import IDENTITY, Window, everything

Array = NDArray[np.float32]


class Binary(Pointwise):
    """Base of operators of an activation x and an operand y: a second activation, or a constant of C x H x W.

    The output has the shape of x. Along channels, rows and columns y has the size of x, or 1 and is repeated.
    """

    @abstractmethod
    def combine(self, x: Array, y: Array) -> Array:
        """The results for two arrays that broadcast to the first."""

    def swapped(self) -> "Binary":
        """The operator that gives the same for y and x."""
        return self

    def output_shape(self, inputs: Sequence[Shape], parameters: Parameters) -> Shape:
        """The shape of the first activation."""
        name = type(self).__name__
        require_operands(name, inputs, parameters, (1, 1) if parameters else (2, 0))
        first = inputs[0]
        second = (first[0], *parameters[0]) if parameters else inputs[1]
        fits = len(second) == len(first) and second[0] == first[0]
        if not fits or any(mine not in (1, size) for mine, size in zip(second[1:], first[1:], strict=True)):
            operand = f"a constant of shape {parameters[0]}" if parameters else f"an activation of shape {second}"
            raise ValueError(
                f"{name} of an activation of shape {first} cannot take {operand}: it must have its sizes or 1"
            )
        return first

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same row of each activation; of one with a single row that one."""
        return tuple(IDENTITY if shape[2] == inputs[0][2] else everything(1) for shape in inputs)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return tuple(IDENTITY if shape[3] == inputs[0][3] else everything(1) for shape in inputs)

    def reference(self, inputs: Sequence[Array], parameters: Sequence[Array]) -> Array:
        """The combination, repeated as NumPy does."""
        x, y = (*inputs, *parameters)
        with np.errstate(all="ignore"):
            return self.combine(x, y)


@dataclass(frozen=True, slots=True)
class Ordered(Binary):
    """Base of operators whose operands cannot change places: x is the second one if `reversed`."""

    reversed: bool = False

    def swapped(self) -> Binary:
        """The same with the operands the other way round."""
        return replace(self, reversed=not self.reversed)
