"""Concatenation along the height or the width."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_shapes
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import IDENTITY, Window


@dataclass(frozen=True, slots=True)
class ConcatMap(Operator):
    """The rows (`axis` 2) or columns (`axis` 3) of all activations, one after the other; other sizes must agree."""

    axis: int

    def __post_init__(self) -> None:
        if self.axis not in (2, 3):
            raise ValueError(f"ConcatMap joins along axis 2 or 3, but its axis is {self.axis}")

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The sum of the sizes along the axis; all other sizes as they are."""
        if not inputs or parameters:
            raise ValueError(f"ConcatMap needs activations only, but has {len(inputs)} and {len(parameters)} constants")
        require_shapes("ConcatMap", inputs)
        total = sum(shape[self.axis] for shape in inputs)
        shapes = {self._with_size(shape, total) for shape in inputs}
        if len(shapes) > 1:
            raise ValueError(f"ConcatMap: {', '.join(map(str, inputs))} differ in more than axis {self.axis}")
        return shapes.pop()

    def _with_size(self, shape: Shape, size: int) -> Shape:
        batch, channels, height, width = shape
        return (batch, channels, size, width) if self.axis == 2 else (batch, channels, height, size)

    def offsets(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        """The output row or column at which each input begins."""
        return tuple(accumulate((shape[self.axis] for shape in inputs[:-1]), initial=0))

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same row, counted from where the input begins; it lies outside where the output is of another input."""
        return self._windows(inputs, 2)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return self._windows(inputs, 3)

    def _windows(self, inputs: Sequence[Shape], axis: int) -> tuple[Window, ...]:
        if axis != self.axis:
            return (IDENTITY,) * len(inputs)
        return tuple(Window(1, -offset, -offset) for offset in self.offsets(inputs))

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """NumPy's concatenation."""
        return np.concatenate(inputs, axis=self.axis)

    @property
    def label(self) -> str:
        """`Concat rows` or `Concat columns`."""
        return "Concat rows" if self.axis == 2 else "Concat columns"
