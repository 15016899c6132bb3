"""Concatenation along the channels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_shapes
from dlfusion.ops.operator import Operator, Shape


@dataclass(frozen=True, slots=True)
class Concat(Operator):
    """The channels of all activations, one after the other; other sizes must agree."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x (sum of channels) x H x W."""
        if not inputs or parameters:
            raise ValueError(f"Concat needs activations only, but has {len(inputs)} and {len(parameters)} constants")
        require_shapes("Concat", inputs)
        batch, _, height, width = inputs[0]
        for shape in inputs[1:]:
            if (shape[0], *shape[2:]) != (batch, height, width):
                raise ValueError(f"Concat: {shape} and {inputs[0]} differ in more than channels")
        return (batch, sum(shape[1] for shape in inputs), height, width)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """NumPy's concatenation along axis 1."""
        return np.concatenate(inputs, axis=1)
