"""Which input rows an operator reads for a range of its output rows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Output rows [a, b) read input rows [first(a), end(b)), before clamping to the input's height.

    first(a) = floor((a * multiplier + first_offset) / divisor)
    end(b)   = floor(((b - 1) * multiplier + last_offset) / divisor) + 1

    One form covers convolution and pooling (multiplier = stride), transposed convolution and resizing (divisor > 1),
    pointwise operators (the identity) and operators that read everything (multiplier 0). The same form describes
    columns.
    """

    multiplier: int
    first_offset: int
    last_offset: int
    divisor: int = 1

    def first(self, row: int) -> int:
        """The first input row read for output row `row`."""
        return (row * self.multiplier + self.first_offset) // self.divisor

    def end(self, rows_end: int) -> int:
        """One past the last input row read for the output row before `rows_end`."""
        return ((rows_end - 1) * self.multiplier + self.last_offset) // self.divisor + 1


IDENTITY = Window(1, 0, 0)


def sliding(stride: int, kernel: int, dilation: int, pad_before: int) -> Window:
    """The window of a convolution or pooling along one axis."""
    return Window(stride, -pad_before, (kernel - 1) * dilation - pad_before)


def everything(size: int) -> Window:
    """The window of an operator that reads all `size` rows for every output row."""
    return Window(0, 0, size - 1)
