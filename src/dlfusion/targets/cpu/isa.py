"""The instruction sets that the CPU target generates for."""

from dataclasses import dataclass

from dlfusion.errors import InputError
from dlfusion.machine.host import host


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set as kernels see it: vector width, registers and compiler flags."""

    name: str
    lanes: int
    vector_registers: int
    flags: tuple[str, ...]


AVX512 = Isa(
    "avx512",
    16,
    32,
    ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mavx2", "-mprefer-vector-width=512"),
)
AVX2 = Isa("avx2", 8, 16, ("-mavx2", "-mfma"))

ISAS = {isa.name: isa for isa in (AVX512, AVX2)}


def choose_isa(name: str | None = None) -> Isa:
    """The instruction set of that name, or the best that this CPU has.

    Raises:
        InputError: there is no such instruction set, or this CPU has none that is supported.
    """
    if name is not None:
        if name not in ISAS:
            raise InputError(f"unknown instruction set {name!r}; supported: {', '.join(ISAS)}")
        return ISAS[name]
    available = host().isas
    for candidate in ISAS.values():  # best first
        if candidate.name in available:
            return candidate
    raise InputError(f"this CPU has none of the supported instruction sets: {', '.join(ISAS)}")
