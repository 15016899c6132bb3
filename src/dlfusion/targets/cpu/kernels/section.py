"""A layer's packed constants, and the C++ text of the numbers that go with them."""

import math

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 16
"""Floats: every array of a section starts on a 64-byte boundary."""


class Section:
    """Collects float arrays, each 64-byte aligned, and tells where each lies.

    The finished array becomes `Lowered.constants`; the offsets go into the kernel's shape structure.
    """

    def __init__(self) -> None:
        self._arrays: list[NDArray[np.float32]] = []
        self._size = 0

    def append(self, array: NDArray[np.float32]) -> int:
        """Adds `array` in its own order and returns its offset in floats from the section's start."""
        offset = self._size
        size = round_up(array.size, ALIGNMENT)
        padded = np.zeros(size, np.float32)
        padded[: array.size] = array.reshape(-1)
        self._arrays.append(padded)
        self._size += size
        return offset

    def append_channels(self, values: NDArray[np.float32], lanes: int, fill: float = 0.0) -> int:
        """Adds one value per channel, filled up to whole vectors, so that kernels may load any channel unit."""
        channels = values.reshape(-1)
        padded = np.full(round_up(channels.size, lanes), fill, np.float32)
        padded[: channels.size] = channels
        return self.append(padded)

    def finish(self) -> NDArray[np.float32]:
        """All arrays, one after the other."""
        return np.concatenate(self._arrays) if self._arrays else np.zeros(0, np.float32)


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


def initializer(*fields: object) -> str:
    """A C++ braced initializer: numbers, texts of C++ as they are, and sequences as nested braces."""
    return "{" + ", ".join(_field(field) for field in fields) + "}"


def _field(field: object) -> str:
    if isinstance(field, float):
        return float_literal(field)
    if isinstance(field, list | tuple):
        return initializer(*field)
    return str(field)
