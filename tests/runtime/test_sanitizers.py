"""The runtime's C++ under the compiler's sanitizers, which report races, stray accesses, leaks and undefined steps."""

from pathlib import Path

import pytest

from tests.support.sanitizers import SANITIZERS, compile_sanitized, run_sanitized

STRESS = Path(__file__).with_name("pool_stress.cpp")


@pytest.mark.sanitizer
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_pool_and_contexts_are_clean(sanitizer: str, tiny_folder: Path, tmp_path: Path) -> None:
    sources = [str(path) for path in sorted((tiny_folder / "sources").glob("*.cpp"))]
    arguments = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{tiny_folder / 'include'}", str(STRESS), *sources]
    compile_sanitized(sanitizer, [*arguments, "-o", "stress"], tmp_path)
    done = run_sanitized(tmp_path / "stress", folder=tiny_folder)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr + done.stdout
