"""Another order of the axes of each image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.whole_map import WholeMap

Order = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Transpose(WholeMap):
    """Output channels, rows and columns are the input's axes `order`; (2, 3, 1) puts the channels last."""

    order: Order

    def __post_init__(self) -> None:
        if sorted(self.order) != [1, 2, 3]:
            raise ValueError(f"Transpose needs an order of the axes 1, 2 and 3, but it is {self.order}")

    @property
    def splits_channels(self) -> bool:
        """True: an output channel is one of some input axis, which its core alone reads."""
        return True

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The sizes in the new order."""
        require_operands("Transpose", inputs, parameters, (1, 0))
        channels, height, width = (inputs[0][axis] for axis in self.order)
        return (inputs[0][0], channels, height, width)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """NumPy's transpose."""
        return np.ascontiguousarray(inputs[0].transpose(0, *self.order))

    @property
    def label(self) -> str:
        """Such as `Transpose 2,3,1`."""
        return "Transpose " + ",".join(map(str, self.order))
