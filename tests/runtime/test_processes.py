"""Running compilers, and who ends them; what happens when the process is killed is in `test_build.py`."""

import subprocess
from pathlib import Path

import pytest

from dlfusion.errors import BuildError
from dlfusion.runtime.processes import ProcessGroup


def test_leaving_ends_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        process = group._start(["sleep", "60"], tmp_path)
    assert process.wait(timeout=20) != 0
    process.communicate()
    with pytest.raises(BuildError, match="was stopped before: true"):
        group.run(["true"], tmp_path, 20)


def test_a_guard_that_ends_early_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProcessGroup() as group:
        assert group._guard is not None
        group._guard.kill()
        group._guard.wait()
        assert group.run(["echo", "works"], tmp_path, 20) == (0, "works\n")

    popen = subprocess.Popen

    def without_shell(command: tuple[str, ...], **options: object) -> object:
        if command[0] == "/bin/sh":
            raise FileNotFoundError(command[0])
        return popen(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", without_shell)
    with ProcessGroup() as group:
        assert group.run(("echo", "works"), tmp_path, 20) == (0, "works\n")
