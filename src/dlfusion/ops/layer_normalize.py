"""Normalization over channels at each place of the map, as in ConvNeXt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.operator import Shape
from dlfusion.ops.over_channels import OverChannels


@dataclass(frozen=True, slots=True)
class LayerNormalize(OverChannels):
    """(x - mean) / sqrt(variance + epsilon) over all channels, at each place of the map.

    Scale and shift are a pointwise operator of their own.
    """

    epsilon: float = 1e-5

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Seven per element: a sum; a difference, its square and two sums; a difference and a product."""
        return 7 * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, in double precision."""
        source = inputs[0].astype(np.float64)
        centered = source - source.mean(axis=1, keepdims=True)
        variance = np.square(centered).mean(axis=1, keepdims=True)
        result: NDArray[np.float32] = (centered / np.sqrt(variance + self.epsilon)).astype(np.float32)
        return result
