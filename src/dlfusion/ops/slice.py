"""A part of the channels and of the map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window, everything

Triple = tuple[int, int, int]
"""A value for channels, rows and columns."""


@dataclass(frozen=True, slots=True)
class Slice(Operator):
    """`sizes` channels, rows and columns from `starts` on, `steps` apart; negative steps go backwards."""

    starts: Triple
    sizes: Triple
    steps: Triple = (1, 1, 1)

    def __post_init__(self) -> None:
        if min(self.sizes) < 1 or 0 in self.steps:
            raise ValueError(f"Slice needs sizes of at least 1 and steps other than 0, but is {self}")

    @property
    def streams(self) -> bool:
        """False if rows are taken from the last to the first."""
        return self.steps[1] > 0

    @property
    def lasts(self) -> Triple:
        """The last channel, row and column that are taken."""
        channel, row, column = (
            start + (size - 1) * step for start, size, step in zip(self.starts, self.sizes, self.steps, strict=True)
        )
        return channel, row, column

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x `sizes`."""
        require_operands("Slice", inputs, parameters, (1, 0))
        for start, last, size in zip(self.starts, self.lasts, inputs[0][1:], strict=True):
            if not (0 <= start < size and 0 <= last < size):
                raise ValueError(f"Slice: {self} reaches past an input of {inputs[0]}")
        return (inputs[0][0], *self.sizes)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The one row that is taken; all of them where they are taken backwards."""
        return (self._window(1, inputs[0][2]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (self._window(2, inputs[0][3]),)

    def _window(self, axis: int, size: int) -> Window:
        start, step = self.starts[axis], self.steps[axis]
        return Window(step, start, start) if step > 0 else everything(size)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """One axis after the other, by indices."""
        result = inputs[0]
        for axis, (start, size, step) in enumerate(zip(self.starts, self.sizes, self.steps, strict=True), 1):
            result = result.take(range(start, start + size * step, step), axis=axis)
        return result

    @property
    def label(self) -> str:
        """The first and last channel, row and column and the steps: such as `Slice 0..15,0..62,1..63 s1,2,2`."""
        ranges = ",".join(f"{start}..{last}" for start, last in zip(self.starts, self.lasts, strict=True))
        steps = "" if self.steps == (1, 1, 1) else f" s{','.join(map(str, self.steps))}"
        return f"Slice {ranges}{steps}"
