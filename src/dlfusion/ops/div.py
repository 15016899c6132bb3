"""Quotient."""

from dataclasses import dataclass

from dlfusion.ops.binary import Array, Ordered


@dataclass(frozen=True, slots=True)
class Div(Ordered):
    """x / y, or y / x if `reversed`."""

    def combine(self, x: Array, y: Array) -> Array:
        """The definition."""
        return y / x if self.reversed else x / y
