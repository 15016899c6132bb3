"""What global pools have in common."""

import math
from collections.abc import Sequence

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Shape
from dlfusion.ops.whole_map import WholeMap


class GlobalPool(WholeMap):
    """Base of operators that make one number of each channel's map."""

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x 1 x 1."""
        require_operands(type(self).__name__, inputs, parameters, (1, 0))
        return (*inputs[0][:2], 1, 1)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One per input element."""
        return math.prod(inputs[0])
