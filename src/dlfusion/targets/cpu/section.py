"""A layer's packed constants, and the C++ text of the numbers that go with them."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 16
"""Floats: every array of a section starts on a 64-byte boundary."""


Fill = Callable[[NDArray[np.float32]], None]
"""Writes all elements of the array that it is given."""


class Section:
    """Collects float arrays, each 64-byte aligned, and tells where each lies.

    It becomes `Lowered.constants`; the offsets go into the kernel's shape structure. What is added by `append_later` is
    not computed before `write`: of the ways that a layer can be run, only those that a plan uses are ever packed.
    """

    def __init__(self) -> None:
        self._fills: list[tuple[int, int, Fill]] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Floats of all arrays, with what lies between them."""
        return self._size

    def append(self, array: NDArray[np.float32]) -> int:
        """Adds `array` in its own order and returns its offset in floats from the section's start."""
        return self.append_later(array.size, lambda place: np.copyto(place, array.reshape(-1)))

    def append_later(self, size: int, fill: Fill) -> int:
        """Adds `size` floats that `fill` writes when the section is written: large weights are then copied once."""
        offset = self._size
        self._fills.append((offset, size, fill))
        self._size += round_up(size, ALIGNMENT)
        return offset

    def append_channels(self, values: NDArray[np.float32], lanes: int, fill: float = 0.0) -> int:
        """Adds one value per channel, filled up to whole vectors, so that kernels may load any channel unit."""
        channels = values.reshape(-1)
        padded = np.full(round_up(channels.size, lanes), fill, np.float32)
        padded[: channels.size] = channels
        return self.append(padded)

    def write(self, place: NDArray[np.float32]) -> None:
        """All arrays, one after the other, with zeros between them, into `size` floats."""
        for offset, size, fill in self._fills:
            end = offset + size
            fill(place[offset:end])
            place[end : round_up(end, ALIGNMENT)] = 0.0

    def finish(self) -> NDArray[np.float32]:
        """A new array of what `write` writes."""
        result = np.empty(self._size, np.float32)
        self.write(result)
        return result


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def float_literal(value: float) -> str:
    """`value` rounded to float32, as a C++ expression that needs no header."""
    number = float(np.float32(value))
    if math.isnan(number):
        return '__builtin_nanf("")'
    if math.isinf(number):
        return "__builtin_inff()" if number > 0 else "-__builtin_inff()"
    return f"{number!r}f"


def initializer(*fields: object, **members: object) -> str:
    """A C++ braced initializer: numbers, texts of C++ as they are, and sequences as nested braces.

    `members` must be in the order of the structure's members; each gets its name before it as a comment, because C++17
    has no initializers by name.
    """
    texts = [_field(field) for field in fields]
    texts += [f"/*{name}=*/{_field(value)}" for name, value in members.items()]
    return "{" + ", ".join(texts) + "}"


def _field(field: object) -> str:
    if isinstance(field, float):
        return float_literal(field)
    if isinstance(field, list | tuple):
        return initializer(*field)
    return str(field)
