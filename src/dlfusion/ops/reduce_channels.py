"""One number of all channels, at each place of the map."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape

Array = NDArray[np.float32]


class Reduction(StrEnum):
    """What becomes one number. `L2` is the root of the sum of squares."""

    MEAN = "mean"
    SUM = "sum"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    SUM_OF_SQUARES = "sum of squares"
    L1 = "L1"
    L2 = "L2"


@dataclass(frozen=True, slots=True)
class ReduceChannels(Operator):
    """The reduction of all channels at each place: N x 1 x H x W."""

    reduction: Reduction

    @property
    def splits_channels(self) -> bool:
        """False: there is one channel."""
        return False

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x 1 x H x W."""
        require_operands("ReduceChannels", inputs, parameters, (1, 0))
        return (inputs[0][0], 1, *inputs[0][2:])

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One per input element, two where each is squared or made positive first."""
        twice = self.reduction in (Reduction.SUM_OF_SQUARES, Reduction.L1, Reduction.L2)
        return (2 if twice else 1) * math.prod(inputs[0])

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The definition, over the second axis."""
        return _DEFINITIONS[self.reduction](inputs[0])

    @property
    def label(self) -> str:
        """Such as `ReduceChannels mean`."""
        return f"ReduceChannels {self.reduction}"


_DEFINITIONS: Mapping[Reduction, Callable[[Array], Array]] = MappingProxyType(
    {
        Reduction.MEAN: lambda x: x.mean(axis=1, keepdims=True),
        Reduction.SUM: lambda x: x.sum(axis=1, keepdims=True),
        Reduction.MAXIMUM: lambda x: x.max(axis=1, keepdims=True),
        Reduction.MINIMUM: lambda x: x.min(axis=1, keepdims=True),
        Reduction.SUM_OF_SQUARES: lambda x: np.square(x).sum(axis=1, keepdims=True),
        Reduction.L1: lambda x: np.abs(x).sum(axis=1, keepdims=True),
        Reduction.L2: lambda x: np.sqrt(np.square(x).sum(axis=1, keepdims=True)),
    }
)
