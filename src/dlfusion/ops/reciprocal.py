"""Reciprocal."""

from dataclasses import dataclass

from dlfusion.ops.function import Array, Function


@dataclass(frozen=True, slots=True)
class Reciprocal(Function):
    """1 / x."""

    def function(self, x: Array) -> Array:
        """The definition."""
        return 1 / x
