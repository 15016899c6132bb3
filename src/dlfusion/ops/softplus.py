"""Smooth rectifier."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Softplus(Function):
    """log(1 + e^x)."""

    def function(self, x: Array) -> Array:
        """Such that e^x cannot overflow."""
        result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        return result
