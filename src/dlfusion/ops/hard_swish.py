"""Element times its hard sigmoid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.pointwise import Pointwise


@dataclass(frozen=True, slots=True)
class HardSwish(Pointwise):
    """x times x / 6 + 1/2 limited to 0..1."""

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition."""
        line: NDArray[np.float32] = inputs[0] / np.float32(6) + np.float32(0.5)
        result: NDArray[np.float32] = inputs[0] * np.clip(line, np.float32(0), np.float32(1))
        return result
