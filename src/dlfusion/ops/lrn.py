"""Local response normalization over channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape


@dataclass(frozen=True, slots=True)
class Lrn(Operator):
    """x / (bias + alpha / size * sum of squares of `size` channels around) ** beta, as ONNX's LRN.

    The sum reaches from `channels_before` channels before to `channels_after` after, cut at the ends.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"Lrn needs a size of at least 1, but it is {self.size}")

    @property
    def channels_before(self) -> int:
        """How many channels before its own an output reads."""
        return (self.size - 1) // 2

    @property
    def channels_after(self) -> int:
        """How many channels after its own an output reads."""
        return self.size // 2

    @property
    def splits_channels(self) -> bool:
        """False: neighbouring ranges would both compute the squares at their border."""
        return False

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands("Lrn", inputs, parameters, (1, 0))
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """Per element a multiply-accumulate for each of `size` channels, one for the bias, a power and a division."""
        return (2 * self.size + 4) * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, with the sum made of shifted squares."""
        channels = inputs[0].shape[1]
        squares = np.pad(inputs[0] ** 2, ((0, 0), (self.channels_before, self.channels_after), (0, 0), (0, 0)))
        total = np.zeros_like(inputs[0])
        for offset in range(self.size):
            total += squares[:, offset : offset + channels]
        scale = np.float32(self.bias) + np.float32(self.alpha / self.size) * total
        result: NDArray[np.float32] = inputs[0] / scale ** np.float32(self.beta)
        return result

    @property
    def label(self) -> str:
        """Such as `Lrn 5`."""
        return f"Lrn {self.size}"
