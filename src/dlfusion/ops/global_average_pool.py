"""Global average pooling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import elements, require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window, everything


@dataclass(frozen=True, slots=True)
class GlobalAveragePool(Operator):
    """The mean of each channel's map."""

    @property
    def streams(self) -> bool:
        """False: the one output row reads all input rows."""
        return False

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x 1 x 1."""
        require_operands("GlobalAveragePool", inputs, parameters, (1, 0))
        return (*inputs[0][:2], 1, 1)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One per input element."""
        return elements(inputs[0])

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """All rows."""
        return (everything(inputs[0][2]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """All columns."""
        return (everything(inputs[0][3]),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The mean over both map axes."""
        result: NDArray[np.float32] = inputs[0].mean(axis=(2, 3), keepdims=True)
        return result
