"""How a program stores its weights: in 32 bits, or in 16 where reading them costs more than widening them."""

from enum import StrEnum

from dlfusion.errors import InputError


class Precision(StrEnum):
    """The storage of weights. Activations, sums and multiplications are float32 in both."""

    FP32 = "fp32"
    BF16 = "bf16"

    @property
    def weight_bytes(self) -> int:
        """Bytes of one weight."""
        return 4 if self is Precision.FP32 else 2

    def floats(self, weights: int) -> int:
        """How many float32 take the memory of so many weights."""
        return weights * self.weight_bytes // 4

    @property
    def template_arguments(self) -> str:
        """What ends a kernel's template arguments: its storage type of `weights.hpp`, unless that is the default."""
        return "" if self is Precision.FP32 else ", Bfloat16Weights"


def choose_precision(name: str) -> Precision:
    """The precision of that name.

    Raises:
        InputError: there is none.
    """
    if name not in set(Precision):
        raise InputError(f"unknown precision {name!r}; supported: {', '.join(Precision)}")
    return Precision(name)
