"""Square root."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Sqrt(Function):
    """The square root of x, NaN below 0."""

    def function(self, x: Array) -> Array:
        """NumPy's square root."""
        result: Array = np.sqrt(x)
        return result
