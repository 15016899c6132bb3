"""Instruction sets for tests."""

from dlfusion.machine.architecture import X86_64, host_architecture
from dlfusion.targets.cpu.isa import ISAS, Isa

NARROW = Isa("narrow", 4, 16, (), architecture=host_architecture())
"""What compilers take if they are not told: the oldest x86, whose vectors have 4 lanes as those of aarch64."""

X86_ISAS = {isa.name: isa for isa in ISAS.values() if isa.architecture == X86_64}
"""Those that a compiler of x86 knows."""
