"""Scale and shift of each channel: a batch normalization that could not be folded into a convolution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands, require_parameter
from dlfusion.ops.operator import Shape
from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class Affine(Pointwise):
    """x * scale + shift; the constants are scale and shift of each channel, C each."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands("Affine", inputs, parameters, (1, 2))
        require_parameter("Affine", "scale", parameters[0], (inputs[0][1],))
        require_parameter("Affine", "shift", parameters[1], (inputs[0][1],))
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Two per element."""
        return 2 * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        scale, shift = (constant.reshape(1, -1, 1, 1) for constant in parameters)
        return inputs[0] * scale + shift
