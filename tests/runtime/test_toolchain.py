"""Finding a compiler: the order, the trial, and what is said when there is none."""

import platform
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlfusion.errors import BuildError
from dlfusion.machine.architecture import AARCH64
from dlfusion.runtime import toolchain
from dlfusion.runtime.build import LIBRARY_FILE, build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.toolchain import CROSS_TARGETS, error_tail, find_compiler
from tests.runtime.conftest import CountingCompiler
from tests.runtime.tiny_program import expected, tiny_program
from tests.support.compilers import cxx
from tests.support.elf import soname


def test_a_compiler_is_tried_out_once(counting_compiler: CountingCompiler, tmp_path: Path) -> None:
    environment = {"CXX": f"{counting_compiler.path} -DANY"}
    cache = Cache(tmp_path / "cache")
    first = find_compiler(cache, environment)
    assert first.command == (str(counting_compiler.path), "-DANY")
    assert first.description.startswith("g++")
    assert counting_compiler.runs == 2
    assert find_compiler(cache, environment) == first
    assert counting_compiler.runs == 2


def test_the_chosen_compiler_is_not_replaced_by_another(script: Callable[[str, str], Path], cache: Cache) -> None:
    broken = script("broken", 'case "$*" in *--version) echo Broken 1.0;; *) echo no headers; exit 7;; esac')
    with pytest.raises(BuildError, match=r"CXX=.*broken: a small test program fails(.|\n)*no headers(.|\n)*unset it"):
        find_compiler(cache, {"CXX": str(broken)})
    with pytest.raises(BuildError, match=r"CXX=no-such-compiler: not installed"):
        find_compiler(cache, {"CXX": "no-such-compiler"})
    with pytest.raises(BuildError, match=r"CXX is no command: \"g\+\+ 'half\": No closing quotation(.|\n)*unset it"):
        find_compiler(cache, {"CXX": "g++ 'half"})
    with pytest.raises(BuildError, match=r"CXX=echo: it is no compiler: (.|\n)*wrote no trial\.o"):
        find_compiler(cache, {"CXX": "echo"})
    silent = script("silent", "exit 3")
    with pytest.raises(BuildError, match=r"--version` ended with status 3"):
        find_compiler(cache, {"CXX": str(silent)})


def test_a_broken_compiler_that_nobody_chose_is_passed_over(
    script: Callable[[str, str], Path], cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = script("broken", "exit 1")
    candidates = [toolchain._Candidate("first", (str(broken),)), toolchain._Candidate("second", cxx())]
    monkeypatch.setattr(toolchain, "_candidates", lambda environment, architecture: candidates)
    assert find_compiler(cache, {}).command[0] == shutil.which(cxx()[0])


def test_without_any_compiler_the_message_says_what_to_install(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildError) as caught:
        find_compiler(cache, {})
    message = str(caught.value)
    for part in (
        "g++: not installed",
        "clang++: not installed",
        "python -m ziglang: not installed",
        "pip install ziglang",
    ):
        assert part in message


def test_long_compiler_output_keeps_the_first_error_and_the_end() -> None:
    lines = [f"note {n}" for n in range(50)] + ["x.cpp:1: error: first"] + [f"more {n}" for n in range(50)]
    shown = error_tail("\n".join(lines)).splitlines()
    assert shown[0] == "x.cpp:1: error: first"
    assert shown[-1] == "more 49"
    assert len(shown) <= 31


@pytest.mark.slow
def test_the_wheel_with_a_compiler_builds_where_there_is_none(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    folder = build(tiny_program(), tmp_path / "model", cache=cache)
    x = np.ones((1, 6, 5), np.float32)
    with Executable.load(folder) as executable:
        assert "clang" in executable.description["compiler"]
        np.testing.assert_allclose(executable(x)[0], expected(x))
    assert soname(folder / LIBRARY_FILE) == LIBRARY_FILE


def test_a_compiler_for_another_architecture_is_asked_for_by_name(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang")
    found = find_compiler(cache, {}, AARCH64)
    assert found.command[1:4] == ("c++", "-target", CROSS_TARGETS[AARCH64])
    with pytest.raises(BuildError, match=r"for aarch64; tried:(.|\n)*it compiles for x86_64(.|\n)*unset it"):
        find_compiler(cache, {"CXX": shlex.join(cxx())}, AARCH64)
    monkeypatch.setattr(platform, "machine", lambda: AARCH64)
    with pytest.raises(BuildError, match="it compiles for x86_64, and a program for aarch64 is wanted"):
        find_compiler(cache, {"CXX": shlex.join(cxx())})


def test_without_ziglang_there_is_no_cross_compiler(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildError, match="ziglang: not installed\nRun: pip install ziglang"):
        find_compiler(cache, {}, AARCH64)
