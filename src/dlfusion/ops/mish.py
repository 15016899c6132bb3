"""Mish (Misra, 2019)."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Mish(Function):
    """x times the hyperbolic tangent of log(1 + e^x)."""

    def function(self, x: Array) -> Array:
        """Such that e^x cannot overflow."""
        softplus = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        result: Array = x * np.tanh(softplus)
        return result
