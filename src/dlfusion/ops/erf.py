"""Error function."""

import math
from dataclasses import dataclass

import numpy as np

from dlfusion.ops.function import Array, Function

_ERF = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True, slots=True)
class Erf(Function):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""

    def function(self, x: Array) -> Array:
        """The C library's error function."""
        return error_function(x)


def error_function(x: Array) -> Array:
    """The error function of each element."""
    return np.asarray(_ERF(x), np.float64)
