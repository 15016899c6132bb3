"""Scaled exponential linear unit."""

from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Selu(Function):
    """gamma * x where x >= 0, else gamma * alpha * (e^x - 1); the defaults are those of ONNX."""

    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875

    def function(self, x: Array) -> Array:
        """The definition."""
        return self.gamma * np.where(x < 0, self.alpha * np.expm1(x), x)
