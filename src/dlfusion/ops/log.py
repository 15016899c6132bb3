"""Natural logarithm."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Log(Function):
    """log(x): minus infinity for 0, NaN below."""

    def function(self, x: Array) -> Array:
        """NumPy's logarithm."""
        result: Array = np.log(x)
        return result
