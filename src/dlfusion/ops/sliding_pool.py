"""What pools over windows have in common."""

from collections.abc import Sequence

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.spatial import Padding, Pair, kernel_label, require_padding, require_positive, sliding_shape
from dlfusion.ops.window import Window, sliding


class SlidingPool(Operator):
    """Base of operators that make one number of each window of a channel's map."""

    kernel: Pair
    strides: Pair
    pads: Padding
    dilations: Pair

    def __post_init__(self) -> None:
        require_positive("kernel", self.kernel)
        require_positive("strides", self.strides)
        require_positive("dilations", self.dilations)
        require_padding(self.pads)

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x OH x OW."""
        require_operands(type(self).__name__, inputs, parameters, (1, 0))
        batch, channels, height, width = inputs[0]
        return (batch, channels, *sliding_shape(height, width, self.kernel, self.strides, self.dilations, self.pads))

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The sliding window along the height."""
        return (sliding(self.strides[0], self.kernel[0], self.dilations[0], self.pads[0]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The sliding window along the width."""
        return (sliding(self.strides[1], self.kernel[1], self.dilations[1], self.pads[1]),)

    @property
    def label(self) -> str:
        """Such as `MaxPool 3x3 s2`."""
        return kernel_label(type(self).__name__, self.kernel, self.strides, self.dilations)
