"""Product of two activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.pointwise import Pointwise
from dlfusion.ops.window import IDENTITY, Window, everything


@dataclass(frozen=True, slots=True)
class Mul(Pointwise):
    """x * y; the second activation has the shape of the first, or N x C x 1 x 1: a factor for each channel."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the first activation."""
        require_operands("Mul", inputs, parameters, (2, 0))
        first, second = inputs
        if second not in (first, (*first[:2], 1, 1)):
            raise ValueError(f"Mul needs a second activation of {first} or {(*first[:2], 1, 1)}, but it is {second}")
        return first

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same row of each activation; of a factor for each channel its only row."""
        return (IDENTITY, IDENTITY if inputs[0][2] == inputs[1][2] else everything(1))

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (IDENTITY, IDENTITY if inputs[0][3] == inputs[1][3] else everything(1))

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        return inputs[0] * inputs[1]
