"""Global max pooling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.global_pool import GlobalPool


@dataclass(frozen=True, slots=True)
class GlobalMaxPool(GlobalPool):
    """The maximum of each channel's map."""

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The maximum over both map axes."""
        result: NDArray[np.float32] = inputs[0].max(axis=(2, 3), keepdims=True)
        return result
