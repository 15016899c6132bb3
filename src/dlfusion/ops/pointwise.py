"""What all operators have in common that map each element of one activation on its own."""

import math
from collections.abc import Sequence
from typing import ClassVar

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape


class Pointwise(Operator):
    """Base of pointwise operators: same shape out as in, one operation per element, no constants unless overridden."""

    pointwise: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands(type(self).__name__, inputs, parameters, (1, 0))
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """One per element."""
        return math.prod(inputs[0])
