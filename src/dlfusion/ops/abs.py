"""Absolute value."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Abs(Function):
    """|x|."""

    def function(self, x: Array) -> Array:
        """The definition."""
        return np.abs(x)
