"""Difference."""

from dataclasses import dataclass

from dlfusion.ops.binary import Array, Binary


@dataclass(frozen=True, slots=True)
class Sub(Binary):
    """x - y, or y - x if `reversed`."""

    reversed: bool = False

    def combine(self, x: Array, y: Array) -> Array:
        """The definition."""
        return y - x if self.reversed else x - y
