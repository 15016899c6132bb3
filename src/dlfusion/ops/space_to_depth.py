"""Rearrangement of blocks of the map into channels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.depth_to_space import ChannelOrder
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window


@dataclass(frozen=True, slots=True)
class SpaceToDepth(Operator):
    """Squares of block x block elements become channels.

    Output channel (y * block + x) * C + c in order DCR, and c * block * block + y * block + x in order CRD, at (h, w)
    is input channel c at (h * block + y, w * block + x).
    """

    block: int
    order: ChannelOrder = ChannelOrder.DCR

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"SpaceToDepth needs a block of at least 1, but it is {self.block}")

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C * block² x H / block x W / block."""
        require_operands("SpaceToDepth", inputs, parameters, (1, 0))
        batch, channels, height, width = inputs[0]
        if height % self.block or width % self.block:
            raise ValueError(f"SpaceToDepth: a map of {height} x {width} does not divide into blocks of {self.block}")
        return (batch, channels * self.block**2, height // self.block, width // self.block)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """One output row comes from `block` input rows."""
        return (Window(self.block, 0, self.block - 1),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (Window(self.block, 0, self.block - 1),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """ONNX's definition: reshape, transpose, reshape."""
        batch, channels, height, width = inputs[0].shape
        rows, columns = height // self.block, width // self.block
        split = inputs[0].reshape(batch, channels, rows, self.block, columns, self.block)
        axes = (0, 3, 5, 1, 2, 4) if self.order is ChannelOrder.DCR else (0, 1, 3, 5, 2, 4)
        return split.transpose(axes).reshape(batch, -1, rows, columns)

    @property
    def label(self) -> str:
        """Such as `SpaceToDepth 2`, with the order unless it is DCR."""
        return f"SpaceToDepth {self.block}{'' if self.order is ChannelOrder.DCR else ' CRD'}"
