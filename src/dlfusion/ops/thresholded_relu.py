"""Rectifier with a threshold."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class ThresholdedRelu(Function):
    """x where x > alpha, else 0."""

    alpha: float = 1.0

    def function(self, x: Array) -> Array:
        """The definition, with the threshold that float32 has."""
        return np.where(x > np.float32(self.alpha), x, 0.0)
