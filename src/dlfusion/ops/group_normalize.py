"""Normalization of groups of channels over the whole map: instance, group and layer normalization of maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.whole_map import WholeMap


@dataclass(frozen=True, slots=True)
class GroupNormalize(WholeMap):
    """(x - mean) / sqrt(variance + epsilon) of each of `groups` equal runs of channels, over their whole maps.

    A group of one channel each is instance normalization, one group of all channels layer normalization. Scale and
    shift are a pointwise operator of their own.
    """

    groups: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"GroupNormalize needs at least 1 group, but has {self.groups}")

    @property
    def splits_channels(self) -> bool:
        """True if there are several groups, of which each core sums up those that its channels belong to."""
        return self.groups > 1

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands("GroupNormalize", inputs, parameters, (1, 0))
        if inputs[0][1] % self.groups:
            raise ValueError(f"GroupNormalize: {inputs[0][1]} channels do not divide into {self.groups} groups")
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Seven per element: a sum; a difference, its square and two sums; a difference and a product."""
        return 7 * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, in double precision."""
        grouped = inputs[0].astype(np.float64).reshape(inputs[0].shape[0], self.groups, -1)
        centered = grouped - grouped.mean(axis=2, keepdims=True)
        variance = np.square(centered).mean(axis=2, keepdims=True)
        result: NDArray[np.float32] = (centered / np.sqrt(variance + self.epsilon)).astype(np.float32)
        return result.reshape(inputs[0].shape)

    @property
    def label(self) -> str:
        """Such as `GroupNormalize g32`."""
        return f"GroupNormalize g{self.groups}"
