"""The instruction sets that the CPU target generates for."""

from dataclasses import dataclass

from dlfusion.errors import InputError
from dlfusion.machine.host import host
from dlfusion.targets.cpu.precision import Precision


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set as kernels see it: vector width, registers and compiler flags.

    `multiplies_bfloat16`: it has vdpbf16ps, which kernels use where results may be rounded to bfloat16.
    """

    name: str
    lanes: int
    vector_registers: int
    flags: tuple[str, ...]
    multiplies_bfloat16: bool = False


AVX512 = Isa(
    "avx512",
    16,
    32,
    ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mavx2", "-mprefer-vector-width=512"),
)
AVX2 = Isa("avx2", 8, 16, ("-mavx2", "-mfma"))
AVX512_BF16 = Isa("avx512_bf16", 16, 32, (*AVX512.flags, "-mavx512bf16"), multiplies_bfloat16=True)

ISAS = {isa.name: isa for isa in (AVX512, AVX2, AVX512_BF16)}
"""By name; those for all precisions first, and of these the best first."""


def choose_isa(name: str | None = None, precision: Precision = Precision.FP32) -> Isa:
    """The instruction set of that name, or the best that this CPU has for programs of that precision.

    `avx512_bf16` multiplies bfloat16 in one instruction, vdpbf16ps. That is best for `bf16` on processors known to run
    it faster than multiply-adds of float32 (`Cpu.bfloat16_speed`), and on no other: Sapphire Rapids has it at half
    their rate.

    Raises:
        InputError: there is no such instruction set, or this CPU has none that is supported.
    """
    if name is not None:
        if name not in ISAS:
            raise InputError(f"unknown instruction set {name!r}; supported: {', '.join(ISAS)}")
        return ISAS[name]
    available = host().isas
    if precision is Precision.BF16 and host().bfloat16_speed > 1 and AVX512_BF16.name in available:
        return AVX512_BF16
    for candidate in ISAS.values():
        if candidate.name in available:
            return candidate
    raise InputError(f"this CPU has none of the supported instruction sets: {', '.join(ISAS)}")
