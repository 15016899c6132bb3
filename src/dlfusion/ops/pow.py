"""Power."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.binary import Array, Ordered


@dataclass(frozen=True, slots=True)
class Pow(Ordered):
    """x ^ y, or y ^ x if `reversed`, as C defines it."""

    def combine(self, x: Array, y: Array) -> Array:
        """NumPy's power, in double precision."""
        base, exponent = (y, x) if self.reversed else (x, y)
        return np.power(base.astype(np.float64), exponent.astype(np.float64)).astype(np.float32)
