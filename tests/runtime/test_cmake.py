"""CMakeLists.txt of a compiled model: other projects can have it as a part, and it compiles as DLFusion does."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.machine.architecture import AARCH64, X86_64
from dlfusion.runtime.build import LIBRARY_FILE, build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.cmake import cmake_lists, target_name
from dlfusion.runtime.program import Program
from dlfusion.runtime.toolchain import COMMON_FLAGS
from tests.runtime.tiny_program import tiny_program
from tests.support.elf import soname

EMBEDDING = Path(__file__).with_name("embedding")
HOSTILE = 'a "name"; $ENV{HOME} ${x} @y@ \\\nmessage(FATAL_ERROR "not a comment") \\'

needs_cmake = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("g++") is None, reason="needs cmake and g++"
)


def hostile_program() -> Program:
    return replace(tiny_program(), name=HOSTILE)


def cmake(folder: Path, target: Path, options: Sequence[str] = ()) -> None:
    """Configures and builds the project in `folder` in the folder `target`."""
    for words in (["-S", str(folder), "-B", str(target), *options], ["--build", str(target), "--parallel", "2"]):
        done = subprocess.run(["cmake", *words], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def compiled_flags(target: Path) -> dict[str, list[str]]:
    """The flags of each source file that a configured project compiles."""
    commands = json.loads((target / "compile_commands.json").read_text(encoding="utf-8"))
    return {Path(entry["file"]).name: shlex.split(entry["command"]) for entry in commands}


def test_a_models_name_is_a_comment_and_a_word() -> None:
    text = cmake_lists(hostile_program(), "sources", "include")
    commands = [line for line in text.splitlines() if not line.startswith("#")]
    plain = cmake_lists(tiny_program(), "sources", "include").replace(target_name(tiny_program()), "TARGET")
    expected = [line for line in plain.splitlines() if not line.startswith("#")]
    assert [line.replace(target_name(hostile_program()), "TARGET") for line in commands] == expected
    assert target_name(hostile_program()).removeprefix("dlfusion_").isidentifier()


@needs_cmake
def test_compilers_for_another_architecture_are_refused_by_name(tmp_path: Path) -> None:
    """Macros stand for the cross compilers, which are named as people name theirs: in the environment."""
    program = tiny_program()
    other = next(name for name in (AARCH64, X86_64) if name != program.architecture)
    folder = tmp_path / "compiled"
    for unit in program.units:
        (folder / "sources" / unit.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sources" / unit.name).touch()
    text = cmake_lists(replace(program, architecture=other, isa="other", documents={}), "sources", "include")
    (folder / "CMakeLists.txt").write_text(text, encoding="utf-8")

    def refused(build_folder: str, **compilers: str) -> str:
        command = ["cmake", "-S", str(folder), "-B", str(tmp_path / build_folder)]
        done = subprocess.run(
            command, env={**os.environ, **compilers}, capture_output=True, text=True, timeout=300, check=False
        )
        return " ".join(done.stderr.split()) if done.returncode else ""

    there = f"-D__{other}__"
    message = refused("native", CC="gcc", CXX="g++")
    assert f"The sources are for {other} (other), but {shutil.which('gcc')} does not compile for that" in message
    assert f"but {shutil.which('g++')} does not" in refused("half", CC=f"gcc {there}", CXX="g++")
    assert refused("cross", CC=f"gcc {there}", CXX=f"g++ {there}") == ""


@needs_cmake
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "static"])
def test_a_project_has_the_model_as_a_part(shared: bool, cache: Cache, tmp_path: Path) -> None:
    program = hostile_program()
    folder = build(program, tmp_path / "compiled", cache=cache)
    options = [f"-DMODEL_FOLDER={folder}", f"-DMODEL_TARGET={target_name(program)}"]
    options += ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DCMAKE_BUILD_TYPE=Debug"]
    options += [] if shared else ["-DBUILD_SHARED_LIBS=OFF"]
    cmake(EMBEDDING, tmp_path / "build", options)
    library = tmp_path / "build" / "model" / ("model.so" if shared else "model.a")
    assert library.is_file()
    assert not shared or soname(library) == soname(folder / LIBRARY_FILE) == LIBRARY_FILE
    caller = tmp_path / "build" / "caller"
    done = subprocess.run([caller], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr

    flags = compiled_flags(tmp_path / "build")
    for unit in program.units:
        expected = [*COMMON_FLAGS, *unit.flags]
        found = [flag for flag in flags[unit.name] if flag.startswith(("-O", "-m", "-f", "-D", "-std="))]
        assert {flag for flag in found if not flag.endswith("_EXPORTS")} == set(expected)
        # The last of several counts.
        for kind in ("-O", "-std="):
            assert [flag for flag in found if flag.startswith(kind)][-1] in expected
