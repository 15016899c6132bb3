"""What operators have in common that change the channels at each place of the map by all channels there."""

from collections.abc import Sequence

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape


class OverChannels(Operator):
    """Base of operators of one activation whose output has its shape and depends on all channels at the same place."""

    @property
    def splits_channels(self) -> bool:
        """False: each output needs all channels."""
        return False

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """The shape of the activation."""
        require_operands(type(self).__name__, inputs, parameters, (1, 0))
        return inputs[0]
