"""Limits on each element; Relu is the most used one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class Clip(Pointwise):
    """min(max(x, low), high); infinities mean no limit."""

    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"Clip needs low <= high, but they are {self.low} and {self.high}")

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """NumPy's clip."""
        return np.clip(inputs[0], np.float32(self.low), np.float32(self.high))

    @property
    def label(self) -> str:
        """`Relu`, `Relu6`, or such as `Clip -1..1`."""
        if self.low == 0 and self.high == math.inf:
            return "Relu"
        if self.low == 0 and self.high == 6:
            return "Relu6"
        return f"Clip {self.low:g}..{self.high:g}"
