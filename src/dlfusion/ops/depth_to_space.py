"""Rearrangement of channels into blocks of the map."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window


class ChannelOrder(StrEnum):
    """What an input channel counts first: DCR the position in the block, CRD the output channel (ONNX's names)."""

    DCR = "DCR"
    CRD = "CRD"


@dataclass(frozen=True, slots=True)
class DepthToSpace(Operator):
    """Groups of block * block channels become squares of block x block elements.

    Output (c, h * block + y, w * block + x) is input channel (y * block + x) * OC + c in order DCR and
    c * block * block + y * block + x in order CRD, at (h, w).
    """

    block: int
    order: ChannelOrder = ChannelOrder.DCR

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"DepthToSpace needs a block of at least 1, but it is {self.block}")

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C / block² x H * block x W * block."""
        require_operands("DepthToSpace", inputs, parameters, (1, 0))
        batch, channels, height, width = inputs[0]
        if channels % self.block**2:
            raise ValueError(f"DepthToSpace: {channels} channels do not divide into blocks of {self.block**2}")
        return (batch, channels // self.block**2, height * self.block, width * self.block)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None: data only moves."""
        return 0

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """`block` output rows come from one input row."""
        return (Window(1, 0, 0, self.block),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (Window(1, 0, 0, self.block),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """ONNX's definition: reshape, transpose, reshape."""
        batch, channels, height, width = inputs[0].shape
        block, outputs = self.block, channels // self.block**2
        if self.order is ChannelOrder.DCR:
            split = inputs[0].reshape(batch, block, block, outputs, height, width).transpose(0, 3, 4, 1, 5, 2)
        else:
            split = inputs[0].reshape(batch, outputs, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
        return split.reshape(batch, outputs, height * block, width * block)

    @property
    def label(self) -> str:
        """Such as `DepthToSpace 3 CRD`."""
        return f"DepthToSpace {self.block} {self.order}"
