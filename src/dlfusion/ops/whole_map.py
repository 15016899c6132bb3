"""What operators have in common that read their whole input for every output."""

from collections.abc import Sequence

from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import Window, everything


class WholeMap(Operator):
    """Base of operators with one activation of which a row of output may need any row and column."""

    @property
    def streams(self) -> bool:
        """False: a row of output needs rows of input that are not there yet."""
        return False

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """All rows."""
        return (everything(inputs[0][2]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """All columns."""
        return (everything(inputs[0][3]),)
