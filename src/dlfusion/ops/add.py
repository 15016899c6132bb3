"""Sum of two activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class Add(Pointwise):
    """x + y of two activations of one shape."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of both activations."""
        require_operands("Add", inputs, parameters, (2, 0))
        if inputs[0] != inputs[1]:
            raise ValueError(f"Add needs two activations of one shape, but they are {inputs[0]} and {inputs[1]}")
        return inputs[0]

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        return inputs[0] + inputs[1]
