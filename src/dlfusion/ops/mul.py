"""Product."""

from dataclasses import dataclass

from dlfusion.ops.binary import Array, Binary


@dataclass(frozen=True, slots=True)
class Mul(Binary):
    """x * y."""

    def combine(self, x: Array, y: Array) -> Array:
        """The definition."""
        return x * y
