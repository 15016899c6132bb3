"""Rounding up."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Ceil(Function):
    """The smallest integer not below x."""

    def function(self, x: Array) -> Array:
        """NumPy's ceil."""
        result: Array = np.ceil(x)
        return result
