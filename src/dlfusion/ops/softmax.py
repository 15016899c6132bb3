"""Softmax over channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.operator import Shape
from dlfusion.ops.over_channels import OverChannels


@dataclass(frozen=True, slots=True)
class Softmax(OverChannels):
    """exp(x) over the sum of exp(x) of all channels, at each place of the map."""

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Five per element: maximum, subtraction, exponential, sum, division."""
        return 5 * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, less the maximum so that no exponential overflows."""
        powers = np.exp(inputs[0] - inputs[0].max(axis=1, keepdims=True))
        result: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return result
