"""Processor architectures: of this machine, and of the libraries that are built."""

import platform
from pathlib import Path

X86_64 = "x86_64"
AARCH64 = "aarch64"

_OTHER_NAMES = {"AMD64": X86_64, "amd64": X86_64, "arm64": AARCH64}

# Where an ELF file says for which machine it is, as two bytes, the lower first (System V ABI, "ELF Header").
_ELF_MACHINE = slice(18, 20)
_ELF_MACHINES = {0x3E: X86_64, 0xB7: AARCH64}


def host_architecture() -> str:
    """The architecture that this process runs on, as Linux calls it: `x86_64`, `aarch64` or another."""
    name = platform.machine()
    return _OTHER_NAMES.get(name, name)


def library_architecture(path: Path) -> str | None:
    """The architecture that a library or object file is for; None if it is not ELF, or for one that we do not know."""
    with path.open("rb") as file:
        header = file.read(_ELF_MACHINE.stop)
    if not header.startswith(b"\x7fELF"):
        return None
    return _ELF_MACHINES.get(int.from_bytes(header[_ELF_MACHINE], "little"))
