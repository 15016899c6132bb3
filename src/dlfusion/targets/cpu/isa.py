"""The instruction sets that the CPU target generates for."""

from dataclasses import dataclass

from dlfusion.errors import InputError
from dlfusion.machine.architecture import AARCH64, X86_64, host_architecture
from dlfusion.machine.host import host
from dlfusion.targets.cpu.precision import Precision


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set as kernels see it: vector width, registers, compiler flags and what processors have it.

    `multiplies_bfloat16`: it has vdpbf16ps, which kernels use where results may be rounded to bfloat16.
    """

    name: str
    lanes: int
    vector_registers: int
    flags: tuple[str, ...]
    multiplies_bfloat16: bool = False
    architecture: str = X86_64


AVX512 = Isa(
    "avx512",
    16,
    32,
    ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mavx2", "-mprefer-vector-width=512"),
)
AVX2 = Isa("avx2", 8, 16, ("-mavx2", "-mfma"))
AVX512_BF16 = Isa("avx512_bf16", 16, 32, (*AVX512.flags, "-mavx512bf16"), multiplies_bfloat16=True)
NEON = Isa("neon", 4, 32, (), architecture=AARCH64)
"""All aarch64 processors have it, so that compilers need no flag."""

ISAS = {isa.name: isa for isa in (AVX512, AVX2, AVX512_BF16, NEON)}
"""By name; those for all precisions first, and of these the best of an architecture first."""


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


def is_foreign(isa: Isa) -> bool:
    """Whether the instruction set is of another architecture than this machine, so that nothing for it runs here."""
    return isa.architecture != host_architecture()


def require_native(isa: Isa) -> None:
    """Nothing, if programs for the instruction set can be loaded on this machine.

    Raises:
        InputError: it is of another architecture.
    """
    if is_foreign(isa):
        raise InputError(
            f"{isa.name} is an instruction set of {isa.architecture}, and this machine is {host_architecture()}: "
            f"programs for it can be built here, but not run or measured. "
            f"`dlfusion compile MODEL --isa {isa.name} -o DIR` builds one (in Python `dlfusion.cross_compile`); leave "
            f"{isa.name} out for what is to run here"
        )
