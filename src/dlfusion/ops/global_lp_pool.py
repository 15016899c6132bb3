"""Global pooling by a norm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.global_pool import GlobalPool


@dataclass(frozen=True, slots=True)
class GlobalLpPool(GlobalPool):
    """The p-norm of each channel's map: the p-th root of the sum of |x| to the power of p."""

    p: int = 2

    def __post_init__(self) -> None:
        if self.p < 1:
            raise ValueError(f"GlobalLpPool needs a norm of at least 1, but p is {self.p}")

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The sum of powers over both map axes; then the root."""
        powers = (np.abs(inputs[0]) ** self.p).sum(axis=(2, 3), keepdims=True)
        root: NDArray[np.float32] = powers ** np.float32(1 / self.p)
        return root

    @property
    def label(self) -> str:
        """Such as `GlobalLpPool p2`."""
        return f"GlobalLpPool p{self.p}"
