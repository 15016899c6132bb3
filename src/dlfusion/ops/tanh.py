"""Hyperbolic tangent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class Tanh(Pointwise):
    """tanh(x)."""

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """NumPy's tanh."""
        return np.tanh(inputs[0])
