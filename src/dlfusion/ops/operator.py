"""What an operator means, stated once: its shape, cost, row windows and reference result.

One operator, one file in this package: a frozen dataclass of its attributes that derives from `Operator`. Everything
else (operation counts, halos, legality, the NumPy reference) derives from these methods. Operators know nothing of
ONNX, of layers, or of any target.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.window import IDENTITY, Window

Shape = tuple[int, int, int, int]


class Operator(ABC):
    """Base of all operators. Shapes are N x C x H x W; `inputs` are the activations' shapes, without constants."""

    pointwise: ClassVar[bool] = False
    """True if each output element depends on the same element of each activation only: it can be an epilogue."""

    @property
    def streams(self) -> bool:
        """False if a row of output needs (nearly) all rows of input: such a layer stands alone in its block."""
        return True

    @property
    def splits_channels(self) -> bool:
        """True if cores can compute separate ranges of output channels without repeating work."""
        return True

    @abstractmethod
    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The output's shape, from the shapes of activations and of constants.

        Raises:
            ValueError: the shapes do not fit the operator; the message gives the numbers.
        """

    @abstractmethod
    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Arithmetic operations for the whole output; a multiply-accumulate counts as two."""

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """For each activation, the rows read for a range of output rows."""
        return tuple(IDENTITY for _ in inputs)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return tuple(IDENTITY for _ in inputs)

    @abstractmethod
    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The result computed with NumPy, clearly rather than quickly: what all targets are checked against."""

    @property
    def label(self) -> str:
        """A few words for tables and comments, such as `Conv 3x3 s2`."""
        return type(self).__name__
