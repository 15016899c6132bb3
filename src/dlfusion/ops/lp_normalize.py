"""Division by the norm of all channels, at each place of the map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.operator import Shape
from dlfusion.ops.over_channels import OverChannels


@dataclass(frozen=True, slots=True)
class LpNormalize(OverChannels):
    """x over the sum of the magnitudes of all channels (`p` is 1), or over the root of the sum of squares (2).

    Where all channels are zero, so is the result.
    """

    p: int = 2

    def __post_init__(self) -> None:
        if self.p not in (1, 2):
            raise ValueError(f"LpNormalize needs a p of 1 or 2, but it is {self.p}")

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Three per element: a square or magnitude, a sum, a product."""
        return 3 * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, in double precision."""
        source = inputs[0].astype(np.float64)
        norm = np.linalg.norm(source, ord=self.p, axis=1, keepdims=True)
        result: NDArray[np.float32] = (source / np.where(norm == 0, 1, norm)).astype(np.float32)
        return result

    @property
    def label(self) -> str:
        """Such as `LpNormalize 2`."""
        return f"LpNormalize {self.p}"
