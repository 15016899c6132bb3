"""The instruction sets that the CPU target generates for."""

from dataclasses import dataclass


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
