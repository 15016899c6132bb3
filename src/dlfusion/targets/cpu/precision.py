"""How exactly a program may compute, and how its kernels store weights: in 32 bits, or in 16 where that is faster."""

from enum import StrEnum

from dlfusion.errors import InputError


class Precision(StrEnum):
    """What users choose. Sums are float32 in both, and so are activations in memory.

    With `BF16`, kernels may store weights as bfloat16, and may round both factors of products to it.
    """

    FP32 = "fp32"
    BF16 = "bf16"


class Storage(StrEnum):
    """How one kernel stores its weights and multiplies by them; the values are the types of `weights.hpp`.

    `BFLOAT16` widens weights and multiplies in float32. `BFLOAT16_PAIRS` multiplies pairs of bfloat16, so that a step
    of a register block takes two input channels.
    """

    FLOAT32 = "Float32Weights"
    BFLOAT16 = "Bfloat16Weights"
    BFLOAT16_PAIRS = "Bfloat16Pairs"

    @property
    def channels(self) -> int:
        """Input channels that one step of a register block takes."""
        return 2 if self is Storage.BFLOAT16_PAIRS else 1

    @property
    def weight_bytes(self) -> int:
        """Bytes of one weight."""
        return 4 if self is Storage.FLOAT32 else 2

    def floats(self, weights: int) -> int:
        """How many float32 take the memory of so many weights."""
        return weights * self.weight_bytes // 4

    @property
    def template_arguments(self) -> str:
        """What ends a kernel's template arguments: the storage type, unless that is the default."""
        return "" if self is Storage.FLOAT32 else f", {self}"


def choose_precision(name: str) -> Precision:
    """The precision of that name.

    Raises:
        InputError: there is none.
    """
    if name not in set(Precision):
        raise InputError(f"unknown precision {name!r}; supported: {', '.join(Precision)}")
    return Precision(name)
