"""The headers of the kernel library, all together."""

import subprocess
from pathlib import Path

from dlfusion.targets.cpu.isa import ISAS
from dlfusion.targets.cpu.target import include_folder
from tests.targets.cpu.kernel_harness import compiler_command


def test_all_kernels_can_meet_in_one_file(tmp_path: Path) -> None:
    """A block includes the headers of its layers' kernels, whichever these are: no name may be used twice."""
    headers = sorted(path.name for path in include_folder().glob("*.hpp"))
    unit = tmp_path / "unit.cpp"
    unit.write_text("".join(f'#include "{name}"\n' for name in headers), encoding="utf-8")
    command = [*compiler_command(), "-std=c++17", "-fsyntax-only", *ISAS["avx2"].flags, f"-I{include_folder()}"]
    subprocess.run([*command, str(unit)], check=True)
