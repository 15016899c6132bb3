"""Maximum pooling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.operator import Shape
from dlfusion.ops.sliding_pool import SlidingPool
from dlfusion.ops.spatial import (
    Padding,
    Pair,
    padded,
    taps,
)


@dataclass(frozen=True, slots=True)
class MaxPool(SlidingPool):
    """The maximum of each window; padding counts as minus infinity.

    ONNX's ceil mode is more padding at the bottom and right: `spatial.ceil_mode_excess` says how much.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Padding = (0, 0, 0, 0)
    dilations: Pair = (1, 1)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One comparison per kernel tap and output element."""
        return math.prod(self.output_shape(inputs, parameters)) * math.prod(self.kernel)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The maximum over kernel positions of the padded map, shifted and strided."""
        batch, channels, height, width = inputs[0].shape
        shape = self.output_shape([(batch, channels, height, width)], [])
        result = np.full(shape, -np.inf, np.float32)
        source = padded(inputs[0], self.pads, -np.inf)
        for _, _, view in taps(source, self.kernel, self.strides, self.dilations, shape):
            np.maximum(result, view, out=result)
        return result
