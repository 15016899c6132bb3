"""Average pooling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.spatial import (
    Padding,
    Pair,
    extent,
    kernel_label,
    padded,
    require_padding,
    require_positive,
    sliding_shape,
    taps,
)
from dlfusion.ops.window import Window, sliding


@dataclass(frozen=True, slots=True)
class AveragePool(Operator):
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
        require_positive("kernel", self.kernel)
        require_positive("strides", self.strides)
        require_positive("dilations", self.dilations)
        require_padding(self.pads)
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

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The sliding window along the height."""
        return (sliding(self.strides[0], self.kernel[0], self.dilations[0], self.pads[0]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The sliding window along the width."""
        return (sliding(self.strides[1], self.kernel[1], self.dilations[1], self.pads[1]),)

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

    @property
    def label(self) -> str:
        """Such as `AveragePool 3x3 s2`."""
        return kernel_label("AveragePool", self.kernel, self.strides, self.dilations)
