"""What a program asks the CPU before it runs: every feature that instruction sets name is known, and found."""

import ctypes
import subprocess
from pathlib import Path

import pytest

from dlfusion.machine import host
from dlfusion.runtime.program import cpu_features
from dlfusion.targets.cpu.isa import ISAS
from tests.targets.cpu.kernel_harness import INCLUDE, compiler_command

ASK = """
#include "cpu_features.hpp"
extern "C" bool has(const char* name) { return dlfusion::cpu_supports(name, std::strlen(name)); }
"""


@pytest.mark.skipif("avx2" not in host().isas, reason="this CPU has no avx2")
def test_features_are_those_that_the_system_reports(tmp_path: Path) -> None:
    (tmp_path / "ask.cpp").write_text(ASK)
    command = [*compiler_command(), "-std=c++17", "-fPIC", "-shared", f"-I{INCLUDE}", "ask.cpp", "-o", "ask.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "ask.so"))
    library.has.restype = ctypes.c_bool
    line = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    reported = {flag.replace("_", "") for flag in line.split()}
    for name in {feature for isa in ISAS.values() for feature in cpu_features(isa.flags)}:
        assert library.has(name.encode()) == (name in reported), name
    assert not library.has(b"avx9000")
