"""Interleaving of channel groups, as in ShuffleNet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape


@dataclass(frozen=True, slots=True)
class ChannelShuffle(Operator):
    """Output channel i * groups + g is input channel g * (C / groups) + i."""

    groups: int

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"ChannelShuffle needs at least 1 group, but has {self.groups}")

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands("ChannelShuffle", inputs, parameters, (1, 0))
        if inputs[0][1] % self.groups:
            raise ValueError(f"ChannelShuffle: {inputs[0][1]} channels do not divide into {self.groups} groups")
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Reshape to groups, swap, reshape back."""
        batch, channels, height, width = inputs[0].shape
        grouped = inputs[0].reshape(batch, self.groups, channels // self.groups, height, width)
        return grouped.swapaxes(1, 2).reshape(inputs[0].shape)

    @property
    def label(self) -> str:
        """Such as `ChannelShuffle g3`."""
        return f"ChannelShuffle g{self.groups}"
