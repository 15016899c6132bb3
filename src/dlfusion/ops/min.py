"""Minimum of two operands."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.binary import Array, Binary


@dataclass(frozen=True, slots=True)
class Min(Binary):
    """The smaller of x and y; NaN where one of them is."""

    def combine(self, x: Array, y: Array) -> Array:
        """NumPy's minimum."""
        return np.minimum(x, y)
