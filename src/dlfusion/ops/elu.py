"""Exponential linear unit."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Elu(Function):
    """x where x >= 0, else alpha * (e^x - 1)."""

    alpha: float = 1.0

    def function(self, x: Array) -> Array:
        """The definition."""
        return np.where(x < 0, self.alpha * np.expm1(x), x)
