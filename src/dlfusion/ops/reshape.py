"""Another shape for the same elements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands, require_shapes
from dlfusion.ops.operator import Shape
from dlfusion.ops.whole_map import WholeMap


@dataclass(frozen=True, slots=True)
class Reshape(WholeMap):
    """The elements, in N x C x H x W order, under the sizes `shape`."""

    shape: Shape

    def __post_init__(self) -> None:
        require_shapes("Reshape", [self.shape])

    @property
    def splits_channels(self) -> bool:
        """False: output channels do not follow input channels."""
        return False

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The attribute `shape`."""
        require_operands("Reshape", inputs, parameters, (1, 0))
        if math.prod(inputs[0]) != math.prod(self.shape):
            raise ValueError(
                f"Reshape: {inputs[0]} has {math.prod(inputs[0])} elements, {self.shape} has {math.prod(self.shape)}"
            )
        return self.shape

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """NumPy's reshape."""
        return inputs[0].reshape(self.shape)

    @property
    def label(self) -> str:
        """Such as `Reshape 1x512x1x1`."""
        return "Reshape " + "x".join(str(size) for size in self.shape)
