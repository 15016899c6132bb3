"""The runtime's C++ under the compiler's sanitizers, which report races, stray accesses, leaks and undefined steps."""

import shutil
import subprocess
from pathlib import Path

import pytest

STRESS = Path(__file__).with_name("pool_stress.cpp")

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_pool_and_contexts_are_clean(sanitizer: str, tiny_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "stress"
    sources = [str(path) for path in sorted((tiny_folder / "sources").glob("*.cpp"))]
    command = ["g++", "-std=c++17", "-O1", "-g", "-Wall", "-Wextra", f"-fsanitize={sanitizer}", "-pthread"]
    command += [f"-I{tiny_folder / 'include'}", str(STRESS), *sources, "-o", str(program)]
    compiled = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if compiled.returncode != 0 and "cannot find" in compiled.stderr:
        pytest.skip(f"g++ has no library for -fsanitize={sanitizer}")
    assert (compiled.returncode, compiled.stderr) == (0, "")
    result = subprocess.run([program], cwd=tiny_folder, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr + result.stdout
