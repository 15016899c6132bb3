"""Padding of the map."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window


class PadMode(StrEnum):
    """What padding consists of; ONNX's names."""

    CONSTANT = "constant"
    REFLECT = "reflect"
    EDGE = "edge"
    WRAP = "wrap"


@dataclass(frozen=True, slots=True)
class Pad(Operator):
    """`top`, `left`, `bottom`, `right` rows and columns around each map; negative ones crop, before others are added.

    In mode constant they are of `value`. In the others they are rows and columns of the map: mirrored at the outermost
    one (reflect), the outermost one again and again (edge), or those of the other side (wrap).
    """

    top: int
    left: int
    bottom: int
    right: int
    value: float = 0.0
    mode: PadMode = PadMode.CONSTANT

    @property
    def streams(self) -> bool:
        """False if padding rows are those of the other side."""
        return self.mode is not PadMode.WRAP or max(self.top, self.bottom) <= 0

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x (H + top + bottom) x (W + left + right).

        Raises:
            ValueError: nothing is left of the map, or less than padding needs to be taken from.
        """
        require_operands("Pad", inputs, parameters, (1, 0))
        batch, channels, height, width = inputs[0]
        rows, columns = height + self.top + self.bottom, width + self.left + self.right
        if min(rows, columns) < 1 or min(self.top, self.bottom) < -height or min(self.left, self.right) < -width:
            raise ValueError(f"Pad: {self} leaves {rows} x {columns} of a map of {height} x {width}")
        if self.mode is not PadMode.CONSTANT:
            self._require_enough(height, self.top, self.bottom)
            self._require_enough(width, self.left, self.right)
        return (batch, channels, rows, columns)

    def _require_enough(self, size: int, before: int, after: int) -> None:
        left = size + min(0, before) + min(0, after)
        most = {PadMode.REFLECT: left - 1, PadMode.WRAP: left}.get(self.mode, max(before, after))
        if left < 1 or max(before, after) > most:
            raise ValueError(f"Pad: padding by {before} and {after} with {self.mode} needs more than {left} elements")

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def source_rows(self, height: int) -> tuple[int, ...]:
        """The input row that each output row is a copy of, in the modes other than constant."""
        return _sources(height, self.top, self.bottom, self.mode)

    def source_columns(self, width: int) -> tuple[int, ...]:
        """The same along the width."""
        return _sources(width, self.left, self.right, self.mode)

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same row less `top`, and in the modes other than constant the rows around it that padding is taken from.

        In mode constant it lies outside the input where the output is padding.
        """
        return (_window(inputs[0][2], self.top, self.bottom, self.mode),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (_window(inputs[0][3], self.left, self.right, self.mode),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Crop by the negative pads, then pad by the positive ones."""
        batch, channels, height, width = inputs[0].shape
        shape = self.output_shape([(batch, channels, height, width)], [])
        if self.mode is not PadMode.CONSTANT:
            return inputs[0].take(self.source_rows(height), axis=2).take(self.source_columns(width), axis=3)
        result = np.full(shape, self.value, np.float32)
        source = inputs[0][:, :, max(0, -self.top) : height + min(0, self.bottom)]
        source = source[:, :, :, max(0, -self.left) : width + min(0, self.right)]
        top, left = max(0, self.top), max(0, self.left)
        result[:, :, top : top + source.shape[2], left : left + source.shape[3]] = source
        return result

    @property
    def label(self) -> str:
        """Such as `Pad 1,1,1,1 reflect`: top, left, bottom, right, and the mode unless it is constant."""
        mode = "" if self.mode is PadMode.CONSTANT else f" {self.mode}"
        return f"Pad {self.top},{self.left},{self.bottom},{self.right}{mode}"


def _sources(size: int, before: int, after: int, mode: PadMode) -> tuple[int, ...]:
    """For each output index along one axis the input index that it is a copy of."""
    first, last = max(0, -before), size - 1 - max(0, -after)
    length = last - first + 1
    found = []
    for index in range(-before, size + after):
        if mode is PadMode.REFLECT:
            index = first + abs(index - first)
            index = last - abs(last - index)
        elif mode is PadMode.WRAP:
            index = first + (index - first) % length
        found.append(min(max(index, first), last))
    return tuple(found)


def _window(size: int, before: int, after: int, mode: PadMode) -> Window:
    """A straight line of slope 1 below all sources and one above them."""
    if mode is PadMode.CONSTANT:
        return Window(1, -before, -before)
    distances = [source - index for index, source in enumerate(_sources(size, before, after, mode))]
    return Window(1, min(distances), max(distances))
