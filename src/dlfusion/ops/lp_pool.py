"""Pooling by a norm."""

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
    kernel_label,
    padded,
    taps,
)


@dataclass(frozen=True, slots=True)
class LpPool(SlidingPool):
    """The p-norm of each window: the p-th root of the sum of |x| to the power of p. Padding counts as zero.

    ONNX's ceil mode is more padding at the bottom and right: `spatial.ceil_mode_excess` says how much.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Padding = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    p: int = 2

    def __post_init__(self) -> None:
        SlidingPool.__post_init__(self)
        if self.p < 1:
            raise ValueError(f"LpPool needs a norm of at least 1, but p is {self.p}")

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One multiply-accumulate per kernel tap and output element; the root does not count."""
        return 2 * math.prod(self.output_shape(inputs, parameters)) * math.prod(self.kernel)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The sum of powers over kernel positions of the padded map, shifted and strided; then the root."""
        batch, channels, height, width = inputs[0].shape
        shape = self.output_shape([(batch, channels, height, width)], [])
        powers = padded(np.abs(inputs[0]) ** self.p, self.pads, 0.0)
        result = np.zeros(shape, np.float32)
        for _, _, view in taps(powers, self.kernel, self.strides, self.dilations, shape):
            result += view
        root: NDArray[np.float32] = result ** np.float32(1 / self.p)
        return root

    @property
    def label(self) -> str:
        """Such as `LpPool 3x3 s2 p2`."""
        return f"{kernel_label('LpPool', self.kernel, self.strides, self.dilations)} p{self.p}"
