"""Gaussian error linear unit."""

import math
from dataclasses import dataclass

import numpy as np

from dlfusion.ops.erf import error_function
from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Gelu(Function):
    """x times the normal distribution's probability of a value below x, or the approximation of it `by_tanh`."""

    by_tanh: bool = False

    def function(self, x: Array) -> Array:
        """The definition, or 1 + tanh(u) in place of 1 + erf(x / sqrt(2)), which is twice the sigmoid of 2 u."""
        if self.by_tanh:
            by_tanh: Array = x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            return by_tanh
        return x / 2 * (1 + error_function(x / math.sqrt(2)))
