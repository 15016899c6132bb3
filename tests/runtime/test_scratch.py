"""Folders of temporary files: whose they are, and when they go."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dlfusion.runtime import scratch
from dlfusion.runtime.scratch import locked_folder, scratch_folder

PREFIX = ".model.partial-"


def run(folder: Path, *lines: str) -> "subprocess.CompletedProcess[str]":
    """A process whose temporary files go to `folder`, and that executes these lines."""
    code = "\n".join(("import os, signal", "from dlfusion.runtime.scratch import scratch_folder", *lines))
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_removes_its_own_folder_and_a_forked_one_does_not(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "folder = scratch_folder()",
        "(folder / 'weights.bin').write_bytes(b'x')",
        "child = os.fork()",
        "if child == 0: raise SystemExit(3)",
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3",
        "assert (folder / 'weights.bin').exists() and scratch_folder() == folder",
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_leaves_goes_with_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = scratch_folder()
    users = tmp_path / "dlfusion-scratch-of-mine"
    users.mkdir()
    killed = run(tmp_path, "(scratch_folder() / 'half').write_bytes(b'x')", "os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.returncode == -signal.SIGKILL
    (left,) = {*tmp_path.iterdir()} - {mine, users}
    assert (left / "half").exists()
    assert run(tmp_path, "scratch_folder()").returncode == 0
    assert {*tmp_path.iterdir()} == {mine, users}


def test_a_folder_that_is_removed_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finds it in the moment before it is locked."""
    make, made = tempfile.mkdtemp, []

    def make_and_lose(*, prefix: str, dir: Path) -> str:  # noqa: A002 - as tempfile calls it
        made.append(make(prefix=prefix, dir=dir))
        if len(made) == 1:
            scratch.remove_abandoned(dir, prefix)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)
    folder, lock = locked_folder(tmp_path, PREFIX)
    assert [str(folder)] == made[1:]
    assert list(tmp_path.iterdir()) == [folder]
    os.close(lock)


def test_without_locks_the_age_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    old, lock = locked_folder(tmp_path, PREFIX)
    os.close(lock)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    young, lock = locked_folder(tmp_path, PREFIX)
    os.close(lock)
    scratch.remove_abandoned(tmp_path, PREFIX)
    assert (old.exists(), young.exists()) == (False, True)
