"""Straight-line approximation of the logistic function."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class HardSigmoid(Pointwise):
    """alpha * x + beta, limited to 0..1."""

    alpha: float = 0.2
    beta: float = 0.5

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        line: NDArray[np.float32] = np.float32(self.alpha) * inputs[0] + np.float32(self.beta)
        return np.clip(line, np.float32(0), np.float32(1))
