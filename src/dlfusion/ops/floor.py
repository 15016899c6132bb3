"""Rounding down."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Floor(Function):
    """The largest integer not above x."""

    def function(self, x: Array) -> Array:
        """NumPy's floor."""
        result: Array = np.floor(x)
        return result
