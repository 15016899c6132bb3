"""Average pooling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.sliding_pool import SlidingPool
from dlfusion.ops.spatial import (
    Padding,
    Pair,
    extent,
    padded,
    sliding_shape,
    taps,
)


@dataclass(frozen=True, slots=True)
class AveragePool(SlidingPool):
    """The sum of each window over the number of positions that count.

    `pads` is the declared padding, whose positions count only if `count_include_pad`. `excess` is how many rows and
    columns windows reach past it in ONNX's ceil mode (`spatial.ceil_mode_excess`); those never count.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Padding = (0, 0, 0, 0)
    excess: Pair = (0, 0)
    count_include_pad: bool = False
    dilations: Pair = (1, 1)

    def __post_init__(self) -> None:
        SlidingPool.__post_init__(self)
        if min(self.excess) < 0:
            raise ValueError(f"excess must not be negative, but is {self.excess}")

    @property
    def reach(self) -> Padding:
        """Rows and columns of zeros that windows read at top, left, bottom and right: `pads` with `excess`."""
        top, left, bottom, right = self.pads
        return (top, left, bottom + self.excess[0], right + self.excess[1])

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x OH x OW.

        Raises:
            ValueError: a window would lie in padding alone, so that nothing counts.
        """
        require_operands("AveragePool", inputs, parameters, (1, 0))
        batch, channels, height, width = inputs[0]
        rows, columns = sliding_shape(height, width, self.kernel, self.strides, self.dilations, self.reach)
        if min(*self.row_counts(height), *self.column_counts(width)) < 1:
            raise ValueError(
                f"AveragePool {self.kernel[0]}x{self.kernel[1]} with padding {self.reach} has empty windows"
            )
        return (batch, channels, rows, columns)

    def row_counts(self, height: int) -> tuple[int, ...]:
        """For each output row, how many rows of its window count; the divisor is this times the column count."""
        return self._counts(height, 0)

    def column_counts(self, width: int) -> tuple[int, ...]:
        """For each output column, how many columns of its window count."""
        return self._counts(width, 1)

    def _counts(self, size: int, axis: int) -> tuple[int, ...]:
        kernel, stride, dilation = self.kernel[axis], self.strides[axis], self.dilations[axis]
        before, after = self.pads[axis], self.pads[axis + 2]
        windows = (size + before + after + self.excess[axis] - extent(kernel, dilation)) // stride + 1
        low, high = (-before, size + after) if self.count_include_pad else (0, size)
        reached = range(0, kernel * dilation, dilation)
        starts = (index * stride - before for index in range(windows))
        return tuple(sum(low <= start + distance < high for distance in reached) for start in starts)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One addition per kernel tap and output element; the division does not count."""
        return math.prod(self.output_shape(inputs, parameters)) * math.prod(self.kernel)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The sum over kernel positions, over the counts."""
        batch, channels, height, width = inputs[0].shape
        shape = self.output_shape([(batch, channels, height, width)], [])
        result = np.zeros(shape, np.float32)
        source = padded(inputs[0], self.reach, 0.0)
        for _, _, view in taps(source, self.kernel, self.strides, self.dilations, shape):
            result += view
        row_counts = np.array(self.row_counts(height), np.float32)
        column_counts = np.array(self.column_counts(width), np.float32)
        return result / (row_counts[:, None] * column_counts)
