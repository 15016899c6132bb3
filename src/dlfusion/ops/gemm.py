"""Fully connected layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands, require_parameter
from dlfusion.ops.operator import Shape
from dlfusion.ops.whole_map import WholeMap


@dataclass(frozen=True, slots=True)
class Gemm(WholeMap):
    """Each output is a weighted sum over the whole map: constants are the weights, O x C x H x W, and the bias, O."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x O x 1 x 1."""
        require_operands("Gemm", inputs, parameters, (1, 2))
        outputs = parameters[0][0]
        require_parameter("Gemm", "weights", parameters[0], (outputs, *inputs[0][1:]))
        require_parameter("Gemm", "bias", parameters[1], (outputs,))
        return (inputs[0][0], outputs, 1, 1)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Two per weight and image; the bias does not count."""
        return 2 * inputs[0][0] * math.prod(parameters[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """One matrix product."""
        source, (weights, bias) = inputs[0], parameters
        product = source.reshape(source.shape[0], -1) @ weights.reshape(weights.shape[0], -1).T + bias
        return product.reshape(*product.shape, 1, 1)
