"""Convolution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands, require_parameter
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.spatial import (
    Padding,
    Pair,
    kernel_label,
    padded,
    require_padding,
    require_positive,
    sliding_shape,
    taps,
)
from dlfusion.ops.window import Window, sliding


@dataclass(frozen=True, slots=True)
class Conv(Operator):
    """Convolution with bias: constants are the weights, O x C/groups x KH x KW, and the bias, O.

    `kernel` is KH x KW, stated here too because windows and labels need it; `pads` are zeros at top, left, bottom and
    right.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Padding = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        require_positive("kernel", self.kernel)
        require_positive("strides", self.strides)
        require_positive("dilations", self.dilations)
        require_padding(self.pads)
        if self.groups < 1:
            raise ValueError(f"groups must be at least 1, but is {self.groups}")

    def is_depthwise(self, parameters: Sequence[tuple[int, ...]]) -> bool:
        """True if every channel has its own single filter: groups = input channels = output channels."""
        return self.groups > 1 and parameters[0][0] == self.groups and parameters[0][1] == 1

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x O x OH x OW."""
        require_operands("Conv", inputs, parameters, (1, 2))
        batch, channels, height, width = inputs[0]
        outputs = parameters[0][0]
        if channels % self.groups or outputs % self.groups:
            raise ValueError(
                f"Conv: {channels} input and {outputs} output channels do not divide into {self.groups} groups"
            )
        require_parameter("Conv", "weights", parameters[0], (outputs, channels // self.groups, *self.kernel))
        require_parameter("Conv", "bias", parameters[1], (outputs,))
        rows, columns = sliding_shape(height, width, self.kernel, self.strides, self.dilations, self.pads)
        return (batch, outputs, rows, columns)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Two per kernel tap and output element; taps on padding count, as in the literature, and the bias does not."""
        return 2 * math.prod(self.output_shape(inputs, parameters)) * math.prod(parameters[0][1:])

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The sliding window along the height."""
        return (sliding(self.strides[0], self.kernel[0], self.dilations[0], self.pads[0]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The sliding window along the width."""
        return (sliding(self.strides[1], self.kernel[1], self.dilations[1], self.pads[1]),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The sum over kernel positions of one matrix product per group, or of one product per channel if depthwise."""
        weights, bias = parameters
        shape = self.output_shape([_shape(inputs[0])], [weights.shape, bias.shape])
        batch, outputs, rows, columns = shape
        groups, positions = self.groups, rows * columns
        depthwise = self.is_depthwise([weights.shape])
        result = np.zeros((batch, groups, outputs // groups, positions), np.float32)
        product = np.empty_like(result)
        source = padded(inputs[0], self.pads, 0.0)
        for row, column, view in taps(source, self.kernel, self.strides, self.dilations, shape):
            filters = weights[:, :, row, column].reshape(groups, outputs // groups, -1)
            operand = view.reshape(batch, groups, -1, positions)
            if depthwise:
                np.multiply(filters, operand, out=product)
            else:
                np.matmul(filters, operand, out=product)
            result += product
        return result.reshape(shape) + bias.reshape(1, -1, 1, 1)

    @property
    def label(self) -> str:
        """Such as `Conv 3x3 s2` or, with 32 groups, `Conv 3x3 g32`."""
        words = kernel_label("Conv", self.kernel, self.strides, self.dilations)
        return words if self.groups == 1 else f"{words} g{self.groups}"


def _shape(array: NDArray[np.float32]) -> Shape:
    batch, channels, height, width = array.shape
    return (batch, channels, height, width)
