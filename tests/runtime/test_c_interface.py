"""The folder used from C alone: what a program that embeds a model does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dlfusion.runtime.build import LIBRARY_FILE
from tests.support.elf import needed_libraries

CALLER = Path(__file__).with_name("c_caller.c")
SYSTEM_LIBRARIES = {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def test_a_c_program_uses_the_whole_interface(tiny_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "caller"
    command = ["gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{tiny_folder}", str(CALLER)]
    command += [str(tiny_folder / "model.so"), f"-Wl,-rpath,{tiny_folder}", "-o", str(program)]
    subprocess.run(command, check=True, timeout=60)
    result = subprocess.run([program], cwd=tiny_folder, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr
    # Not the path that the linker was given: the folder may move, and the program then finds it by another rpath.
    assert LIBRARY_FILE in needed_libraries(program)


def test_the_library_shows_nothing_but_its_interface(tiny_folder: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(tiny_folder / "model.so")], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1] for line in listed.stdout.splitlines()}
    # The C++ library marks its own templates visible, whatever the compiler is told.
    ours = {name for name in names if not re.match(r"_Z(T[VIS])?N?K?St", name)}
    header = (tiny_folder / "dlfusion.h").read_text()
    assert {name for name in ours if name.startswith("dlfusion_")} == ours
    assert all(f"{name}(" in header for name in ours)
    assert len(ours) == header.count("DLFUSION_API ") - header.count("#define DLFUSION_API ")


def test_the_library_needs_no_cpp_library(tiny_folder: Path) -> None:
    assert needed_libraries(tiny_folder / LIBRARY_FILE) <= SYSTEM_LIBRARIES
