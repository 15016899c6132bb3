"""Logarithm of softmax over channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape


@dataclass(frozen=True, slots=True)
class LogSoftmax(Operator):
    """x less the logarithm of the sum of exp(x) of all channels, at each place of the map."""

    @property
    def splits_channels(self) -> bool:
        """False: each output needs all channels."""
        return False

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands("LogSoftmax", inputs, parameters, (1, 0))
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Five per element: maximum, subtraction, exponential, sum, subtraction."""
        return 5 * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, less the maximum so that no exponential overflows."""
        lowered = inputs[0] - inputs[0].max(axis=1, keepdims=True)
        result: NDArray[np.float32] = lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True))
        return result
