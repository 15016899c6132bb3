"""Keeping engines that choose their own instructions to AVX2 on a machine with AVX-512."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dlfusion.bench.engines.adapter import Adapter
from dlfusion.errors import BuildError
from dlfusion.machine.host import host
from dlfusion.runtime.cache import open_cache
from dlfusion.runtime.processes import ProcessGroup
from dlfusion.runtime.toolchain import allowed_seconds, compile_command, error_tail, find_compiler, link_command

VARIABLE = "DLFUSION_HIDE_AVX512"
"""Environment variable of a worker: the library that hides AVX-512, to be called before the engine is loaded."""

_SOURCE = Path(__file__).with_name("hide_avx512.cpp")
_LIBRARY_FILE = "hide_avx512.so"
_PROBE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Restriction:
    """How peers are kept to an instruction set: `isa` is None where nothing needs to be hidden.

    `library` hides instructions from any engine; None where the machine or its hypervisor cannot do that. Then only
    engines with a setting of their own can be kept to it.
    """

    isa: str | None = None
    library: Path | None = None

    def environment(self, adapter: type[Adapter]) -> Mapping[str, str]:
        """The variables of the environment that keep this engine to the instruction set."""
        if self.isa is None:
            return {}
        hide = {} if self.library is None else {VARIABLE: str(self.library)}
        return {**adapter.environment(self.isa), **hide}

    def holds(self, adapter: type[Adapter]) -> bool:
        """False if this engine may use more instructions than ours."""
        return self.isa is None or bool(self.environment(adapter))


def restriction(isa: str | None, folder: Path) -> Restriction:
    """What keeps peers to an instruction set on this machine; a library is built in the folder if one is needed.

    Raises:
        BuildError: no compiler works here.
    """
    if isa != "avx2" or "avx512" not in host().isas:
        return Restriction()
    library = _build(folder)
    command = [sys.executable, "-m", "dlfusion.bench.instructions"]
    environment = {**os.environ, VARIABLE: str(library)}
    try:
        probe = subprocess.run(command, env=environment, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Restriction(isa)
    return Restriction(isa, library if probe.returncode == 0 else None)


def hide_as_told() -> bool:
    """In a worker: hides AVX-512 if the environment says so; false if that fails."""
    library = os.environ.get(VARIABLE)
    if library is None:
        return True
    hide = ctypes.CDLL(library).hide_avx512
    hide.restype = ctypes.c_bool
    return bool(hide())


def _build(folder: Path) -> Path:
    compiler = find_compiler(open_cache())
    for command in (
        compile_command(compiler, (), str(_SOURCE), "hide_avx512.o"),
        link_command(compiler, ["hide_avx512.o"], _LIBRARY_FILE, _LIBRARY_FILE),
    ):
        with ProcessGroup() as group:
            status, text = group.run(command, folder, allowed_seconds())
        if status != 0:
            raise BuildError(f"{_SOURCE.name} does not compile with {compiler.description}:\n{error_tail(text)}")
    return folder / _LIBRARY_FILE


if __name__ == "__main__":
    sys.exit(0 if hide_as_told() else 1)
