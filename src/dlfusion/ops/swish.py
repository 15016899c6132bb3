"""Element times its sigmoid, which is also called SiLU."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Swish(Function):
    """x / (1 + e^(-alpha * x))."""

    alpha: float = 1.0

    def function(self, x: Array) -> Array:
        """The definition."""
        result: Array = x / (1 + np.exp(-self.alpha * x))
        return result
