"""Sigmoid without an exponential."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Softsign(Function):
    """x / (1 + |x|)."""

    def function(self, x: Array) -> Array:
        """The definition."""
        result: Array = x / (1 + np.abs(x))
        return result
