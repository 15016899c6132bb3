"""Leaky rectifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class LeakyRelu(Pointwise):
    """x where x >= 0, else alpha * x."""

    alpha: float = 0.01

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        return np.where(inputs[0] >= 0, inputs[0], np.float32(self.alpha) * inputs[0])
