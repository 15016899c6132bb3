"""Continuously differentiable exponential linear unit."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Celu(Function):
    """x where x >= 0, else alpha * (e^(x / alpha) - 1)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"Celu needs alpha > 0, but it is {self.alpha}")

    def function(self, x: Array) -> Array:
        """The definition."""
        return np.where(x < 0, self.alpha * np.expm1(x / self.alpha), x)
