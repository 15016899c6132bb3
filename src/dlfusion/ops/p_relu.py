"""Leaky rectifier with a learned slope per channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands, require_parameter
from dlfusion.ops.operator import Shape
from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class PRelu(Pointwise):
    """x where x >= 0, else slope * x; the constant is the slope of each channel, C."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands("PRelu", inputs, parameters, (1, 1))
        require_parameter("PRelu", "slope", parameters[0], (inputs[0][1],))
        return inputs[0]

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        return np.where(inputs[0] >= 0, inputs[0], parameters[0].reshape(1, -1, 1, 1) * inputs[0])
