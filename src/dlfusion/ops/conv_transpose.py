"""Transposed convolution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands, require_parameter
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.spatial import Padding, Pair, extent, kernel_label, require_padding, require_positive, taps
from dlfusion.ops.window import Window


@dataclass(frozen=True, slots=True)
class ConvTranspose(Operator):
    """Transposed convolution with bias: constants are the weights, C x O/groups x KH x KW, and the bias, O.

    Input row i reaches output rows i * stride + k * dilation - pad for each kernel row k. `pads` crops the full result
    at top, left, bottom and right; `output_padding` adds rows and columns at the end, before the crop.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Padding = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1

    def __post_init__(self) -> None:
        require_positive("kernel", self.kernel)
        require_positive("strides", self.strides)
        require_positive("dilations", self.dilations)
        require_padding(self.pads)
        if min(self.output_padding) < 0:
            raise ValueError(f"output padding must not be negative, but is {self.output_padding}")
        if self.groups < 1:
            raise ValueError(f"groups must be at least 1, but is {self.groups}")

    def _full_size(self, size: int, axis: int) -> int:
        span = extent(self.kernel[axis], self.dilations[axis])
        return (size - 1) * self.strides[axis] + span + self.output_padding[axis]

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x O x OH x OW, with OH = (H - 1) * stride + kernel's extent + output padding - padding."""
        require_operands("ConvTranspose", inputs, parameters, (1, 2))
        batch, channels, height, width = inputs[0]
        if channels % self.groups:
            raise ValueError(f"ConvTranspose: {channels} input channels do not divide into {self.groups} groups")
        needed = (channels, parameters[0][1] if len(parameters[0]) > 1 else 0, *self.kernel)
        require_parameter("ConvTranspose", "weights", parameters[0], needed)
        outputs = parameters[0][1] * self.groups
        require_parameter("ConvTranspose", "bias", parameters[1], (outputs,))
        rows = self._full_size(height, 0) - self.pads[0] - self.pads[2]
        columns = self._full_size(width, 1) - self.pads[1] - self.pads[3]
        if min(rows, columns) < 1:
            raise ValueError(f"ConvTranspose: padding {self.pads} leaves an output of {rows} x {columns}")
        return (batch, outputs, rows, columns)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Two per input element, output channel of its group and kernel tap; taps that fall on the crop count too."""
        return 2 * math.prod(inputs[0]) * math.prod(parameters[0][1:])

    def _window(self, axis: int) -> Window:
        pad, stride = self.pads[axis], self.strides[axis]
        # The first row is ceil((row + pad - (kernel - 1) * dilation) / stride); the sum makes floor round up.
        reach = (self.kernel[axis] - 1) * self.dilations[axis]
        return Window(1, pad - reach + stride - 1, pad, stride)

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The input rows that reach an output row; between strides there may be none, then first = end."""
        return (self._window(0),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (self._window(1),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """For each kernel position, one matrix product per group, added to the outputs it reaches; then the crop."""
        source, (weights, bias) = inputs[0], parameters
        batch, channels, height, width = source.shape
        shape = self.output_shape([(batch, channels, height, width)], [weights.shape, bias.shape])
        groups = self.groups
        full = np.zeros((batch, shape[1], self._full_size(height, 0), self._full_size(width, 1)), np.float32)
        operand = source.reshape(batch, groups, channels // groups, height * width)
        reached = (batch, shape[1], height, width)
        for row, column, view in taps(full, self.kernel, self.strides, self.dilations, reached):
            filters = weights[:, :, row, column].reshape(groups, channels // groups, -1).swapaxes(1, 2)
            view += np.matmul(filters, operand).reshape(reached)
        top, left = self.pads[:2]
        cropped = full[:, :, top : top + shape[2], left : left + shape[3]]
        return cropped + bias.reshape(1, -1, 1, 1)

    @property
    def label(self) -> str:
        """Such as `ConvTranspose 9x9 s3`."""
        words = kernel_label("ConvTranspose", self.kernel, self.strides, self.dilations)
        return words if self.groups == 1 else f"{words} g{self.groups}"
