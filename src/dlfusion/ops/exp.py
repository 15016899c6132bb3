"""Exponential function."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Exp(Function):
    """e^x."""

    def function(self, x: Array) -> Array:
        """NumPy's exponential."""
        result: Array = np.exp(x)
        return result
