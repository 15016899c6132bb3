"""Building: what a folder holds, what the cache saves, and what is left when something goes wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfusion.errors import BuildError
from dlfusion.runtime.build import Progress, build, copy_artefact
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.program import Program, Unit
from dlfusion.runtime.scratch import locked_folder
from tests.runtime.conftest import CountingCompiler
from tests.runtime.tiny_program import expected, tiny_program
from tests.support.compilers import HAS_GXX, cxx, shell_call

X = np.arange(30, dtype=np.float32).reshape(1, 6, 5)


def with_unit(program: Program, name: str, text: str) -> Program:
    """The program with one unit's text replaced or one unit added."""
    return replace(program, units=(*(unit for unit in program.units if unit.name != name), Unit(name, text)))


def test_a_folder_has_all_that_rebuilding_and_reading_need(tiny_folder: Path) -> None:
    files = {str(path.relative_to(tiny_folder)) for path in tiny_folder.rglob("*") if path.is_file()}
    assert files >= {"model.so", "dlfusion.h", "weights.bin", "model.json", "plan.json", "sources/blocks.cpp"}
    assert files >= {"CMakeLists.txt", "include/runtime.hpp", "include/thread_pool.hpp", "include/blocks.hpp"}
    description = json.loads((tiny_folder / "model.json").read_text())
    assert description["inputs"] == [{"name": "x", "shape": [1, 6, 5]}]
    assert description["cores"] == 2
    for name in ("model.json", "CMakeLists.txt"):
        assert str(tiny_folder) not in (tiny_folder / name).read_text()
    sources = sorted(str(path) for path in (tiny_folder / "sources").glob("*.cpp"))
    command = [*cxx(), "-std=c++17", "-O1", "-fPIC", "-Iinclude", "-shared", "-pthread", *sources, "-o", "again.so"]
    subprocess.run(command, cwd=tiny_folder, check=True)
    (tiny_folder / "again.so").unlink()


def test_the_same_program_gives_the_same_bytes(cache: Cache, tiny_folder: Path, tmp_path: Path) -> None:
    fresh = build(tiny_program(), tmp_path / "again", cache=Cache(tmp_path / "cache"))
    # zig's linker writes the paths of the objects, and so of the cache, into the library.
    names = ("CMakeLists.txt", "weights.bin")
    for name in (*names, "model.so", "model.json") if HAS_GXX else names:
        assert (fresh / name).read_bytes() == (tiny_folder / name).read_bytes(), name


def test_the_second_build_runs_no_compiler(
    counting_compiler: CountingCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(counting_compiler.path))
    cache = Cache(tmp_path / "cache")
    steps: list[Progress] = []
    build(tiny_program(), tmp_path / "first", cache=cache, progress=steps.append)
    assert [(step.done, step.total, step.from_cache) for step in steps] == [(n, 4, False) for n in (1, 2, 3, 4)]
    assert counting_compiler.runs == 2 + 3 + 1  # trial, units, link

    steps.clear()
    build(tiny_program(), tmp_path / "second", cache=cache, progress=steps.append)
    assert counting_compiler.runs == 6
    assert [(step.done, step.from_cache) for step in steps] == [(n, True) for n in (1, 2, 3, 4)]

    # Another shape changes the header that two of the three units include; other weights only the model's digest.
    build(tiny_program(rows=7), tmp_path / "third", cache=cache)
    assert counting_compiler.runs == 6 + 2 + 1
    build(tiny_program(add=2.0), tmp_path / "fourth", cache=cache)
    assert counting_compiler.runs == 9 + 1 + 1


def test_equal_units_of_different_names_are_compiled_once(
    counting_compiler: CountingCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(counting_compiler.path))
    program = tiny_program()
    for name in ("kernel_1.cpp", "kernel_2.cpp"):
        program = with_unit(program, name, "template <int N> int f() { return N; }\ntemplate int f<3>();\n")
    build(program, tmp_path / "model", cache=Cache(tmp_path / "cache"))
    assert counting_compiler.runs == 2 + 4 + 1


def test_a_damaged_object_in_the_cache_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    build(tiny_program(), tmp_path / "first", cache=cache)
    for path in cache.folder.glob("*/*.o"):
        path.write_bytes(path.read_bytes()[:100])
    for path in cache.folder.glob("*/*.so"):
        path.unlink()
    folder = build(tiny_program(), tmp_path / "second", cache=cache)
    with Executable.load(folder) as executable:
        np.testing.assert_allclose(executable(X)[0], expected(X))


def test_a_compile_error_names_the_unit_and_leaves_nothing(cache: Cache, tmp_path: Path) -> None:
    program = with_unit(tiny_program(), "broken.cpp", "int f() { return undeclared_thing; }\n")
    with pytest.raises(BuildError, match=r"cannot compile broken\.cpp(.|\n)*undeclared_thing(.|\n)*command was"):
        build(program, tmp_path / "model", cache=cache)
    assert list(tmp_path.iterdir()) == []
    assert not list(cache.folder.glob("*/.partial-*"))


def test_a_symbol_that_is_missing_is_a_link_error(cache: Cache, tmp_path: Path) -> None:
    program = with_unit(tiny_program(), "blocks.cpp", "// no block functions\n")
    with pytest.raises(BuildError, match=r"cannot link model\.so(.|\n)*add_block"):
        build(program, tmp_path / "model", cache=cache)
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_hangs_is_stopped(
    script: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = script("hanging", f'case "$*" in *blocks.cpp*) sleep 60;; esac\n{shell_call()}')
    monkeypatch.setenv("CXX", str(hanging))
    start = time.monotonic()
    with pytest.raises(BuildError, match=r"did not finish within 3 s(.|\n)*blocks\.cpp(.|\n)*CXX"):
        build(tiny_program(), tmp_path / "model", cache=Cache(tmp_path / "cache"), compiler_seconds=3.0)
    assert time.monotonic() - start < 30
    assert not (tmp_path / "model").exists()


def test_ctrl_c_ends_the_compilers_and_leaves_nothing(script: Callable[[str, str], Path], tmp_path: Path) -> None:
    with building(script, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    assert list((tmp_path / "models").iterdir()) == []
    assert not list((tmp_path / "cache").glob("*/.partial-*"))
    wait_for(lambda: not any(map(is_running, compilers(tmp_path))))


def test_a_kill_ends_the_compilers_and_the_next_build_cleans_up(
    script: Callable[[str, str], Path], cache: Cache, tmp_path: Path
) -> None:
    with building(script, tmp_path) as process:
        process.kill()
    wait_for(lambda: not any(map(is_running, compilers(tmp_path))))
    (rest,) = (tmp_path / "models").iterdir()
    assert rest.name.startswith(".tiny.partial-")
    (tmp_path / "models" / ".tiny.old-abcd1234").mkdir()  # as of one that was killed a moment later
    build(tiny_program(), tmp_path / "models" / "tiny", cache=cache)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny"]


@contextmanager
def building(script: Callable[[str, str], Path], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that builds `models/tiny` with a compiler that has started another and will wait for it."""
    waiting = f'sleep 60 & echo $$ $! > "{folder}/started"; mv "{folder}/started" "{folder}/compilers"; wait'
    compiler = script("slow", f'case "$*" in *blocks.cpp*) {waiting};; esac\n{shell_call()}')
    code = (
        "from pathlib import Path; from tests.runtime.tiny_program import tiny_program\n"
        "from dlfusion.runtime.build import build; from dlfusion.runtime.cache import Cache\n"
        "build(tiny_program(), Path('models/tiny'), cache=Cache(Path('cache').absolute()))"
    )
    environment = {**os.environ, "CXX": str(compiler), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c
    ) as process:
        wait_for(lambda: (folder / "compilers").exists())
        assert all(map(is_running, compilers(folder)))
        yield process


def compilers(folder: Path) -> list[int]:
    """The compiler that `building` runs, and the one that this has started."""
    return [int(number) for number in (folder / "compilers").read_text().split()]


def test_two_processes_can_build_one_model_at_once(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.runtime.tiny_program import tiny_program\n"
        "from dlfusion.runtime.build import build; from dlfusion.runtime.cache import Cache\n"
        f"build(tiny_program(), Path({str(tmp_path / 'model')!r}), cache=Cache(Path({str(tmp_path / 'cache')!r})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"model", "cache"}
    with Executable.load(tmp_path / "model") as executable:
        np.testing.assert_allclose(executable(X)[0], expected(X))


def test_an_older_model_is_replaced_but_nothing_else(cache: Cache, tmp_path: Path) -> None:
    target = tmp_path / "model"
    with (
        Executable.load(build(tiny_program(), target, cache=cache)) as old,
        Executable.load(build(tiny_program(add=2.0), target, cache=cache)) as new,
    ):
        np.testing.assert_allclose(old(X)[0], expected(X))
        np.testing.assert_allclose(new(X)[0], expected(X, add=2.0))

    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("years of work")
    with pytest.raises(BuildError, match="exists and is not a compiled model"):
        build(tiny_program(), other, cache=cache)
    with pytest.raises(BuildError, match="exists and is not a compiled model"):
        copy_artefact(target, other)
    (other / "model.json").write_text("a file that other programs write too")
    with pytest.raises(BuildError, match="exists and is not a compiled model"):
        build(tiny_program(), other, cache=cache)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "thesis"}
    assert (other / "chapter.tex").read_text() == "years of work"


def test_a_link_to_a_folder_stays_and_the_model_goes_where_it_leads(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for _ in range(2):  # into an empty folder, and over an older model
        assert build(tiny_program(), tmp_path / "link", cache=cache) == tmp_path / "link"
        assert (tmp_path / "link").is_symlink()
        with Executable.load(tmp_path / "disk") as executable:
            np.testing.assert_allclose(executable(X)[0], expected(X))
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "link"}


def test_the_current_folder_is_not_replaced(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BuildError, match="current folder"):
        build(tiny_program(), Path(), cache=cache)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_with_a_text_and_leaves_nothing(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tiny_program(), cache=cache)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfile", full)
    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(BuildError, match=r"cannot write the compiled model .*No space left.*Make room"):
        build(tiny_program(), tmp_path / "model", cache=cache)
    with pytest.raises(BuildError, match=r"cannot write the compiled model .*No space left.*Make room"):
        copy_artefact(folder, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    shutil.rmtree(folder)


def test_builds_leave_alone_what_others_are_writing(cache: Cache, tmp_path: Path) -> None:
    rests, other, users = (tmp_path / name for name in (".model.partial-abcd1234", ".other.partial-abcd1234", "model2"))
    for path in (rests, other, users):
        path.mkdir()
        (path / "weights.bin").write_bytes(b"half")
    running, lock = locked_folder(tmp_path, ".model.partial-")
    os.utime(running, (0, 0))
    build(tiny_program(), tmp_path / "model", cache=cache)
    assert (rests.exists(), running.exists(), other.exists(), users.exists()) == (False, True, True, True)
    os.close(lock)


def test_a_copy_runs_alone(cache: Cache, tmp_path: Path) -> None:
    folder = build(tiny_program(), cache=cache)
    with Executable.load(folder, temporary=True) as executable:
        executable.save(tmp_path / "saved")
    assert not folder.exists()
    with Executable.load(tmp_path / "saved") as saved:
        np.testing.assert_allclose(saved(X)[0], expected(X))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait at most twenty seconds until the condition holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def hear_ctrl_c() -> None:
    """For a new process: what is started in the background of a shell script ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_running(process_id: int) -> bool:
    """Whether there is such a process (one that ended and was not collected does not count)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return False


def test_weights_that_are_on_disk_already_are_shared(cache: Cache, tmp_path: Path) -> None:
    program, weights = tiny_program(), tmp_path / "weights"
    program.weights.tofile(weights)
    folder = build(program, tmp_path / "model", cache=cache, weights_file=weights)
    assert (folder / "weights.bin").samefile(weights)
    with Executable.load(folder, check_digest=True) as model:
        np.testing.assert_array_equal(model(X)[0], expected(X))


def test_weights_are_written_where_they_cannot_be_shared(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    program, weights = tiny_program(), tmp_path / "weights"
    program.weights.tofile(weights)
    folder = build(program, tmp_path / "model", cache=cache, weights_file=weights)
    assert not (folder / "weights.bin").samefile(weights)
    assert (folder / "weights.bin").read_bytes() == weights.read_bytes()
