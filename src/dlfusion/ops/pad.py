"""Padding of the map with a constant."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window


@dataclass(frozen=True, slots=True)
class Pad(Operator):
    """`top`, `left`, `bottom`, `right` rows and columns of `value` around each map; negative ones crop."""

    top: int
    left: int
    bottom: int
    right: int
    value: float = 0.0

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x (H + top + bottom) x (W + left + right)."""
        require_operands("Pad", inputs, parameters, (1, 0))
        batch, channels, height, width = inputs[0]
        rows, columns = height + self.top + self.bottom, width + self.left + self.right
        if min(rows, columns) < 1 or min(self.top, self.bottom) < -height or min(self.left, self.right) < -width:
            raise ValueError(f"Pad: {self} leaves {rows} x {columns} of a map of {height} x {width}")
        return (batch, channels, rows, columns)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same row less `top`; it lies outside the input where the output is padding."""
        return (Window(1, -self.top, -self.top),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same column less `left`."""
        return (Window(1, -self.left, -self.left),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Crop by the negative pads, then pad by the positive ones."""
        batch, channels, height, width = inputs[0].shape
        shape = self.output_shape([(batch, channels, height, width)], [])
        result = np.full(shape, self.value, np.float32)
        source = inputs[0][:, :, max(0, -self.top) : height + min(0, self.bottom)]
        source = source[:, :, :, max(0, -self.left) : width + min(0, self.right)]
        top, left = max(0, self.top), max(0, self.left)
        result[:, :, top : top + source.shape[2], left : left + source.shape[3]] = source
        return result

    @property
    def label(self) -> str:
        """Such as `Pad 1,1,1,1`: top, left, bottom, right."""
        return f"Pad {self.top},{self.left},{self.bottom},{self.right}"
