"""What comes between the command line and a compiled model: signals, hanging compilers, full disks, other processes."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from dlfusion.cli.console import EXIT_USER_ERROR
from dlfusion.cli.start import EXIT_INTERRUPTED
from tests.cli.invoke import invoke
from tests.support.compilers import HAS_GXX, shell_call

STAGES = ("import", "plan", "generate", "build", "check", "measure")
"""What `dlfusion compile` says on standard error when it begins each."""

ONNX_RUNTIMES_OWN = ".ses"
"""A file that ONNX Runtime leaves where temporary files go."""


def limit_files(most_bytes: int | None) -> None:
    """For a new process: no file may become larger, as if the disk were full then."""
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


class Compiling:
    """`dlfusion compile` in processes of their own, into one folder and with one cache, both empty at first."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.output = folder / "models" / "m"
        self.cache = folder / "cache"
        self.temporary = folder / "temporary"
        for place in (self.output.parent, self.temporary):
            place.mkdir()
        self.command = [sys.executable, "-m", "dlfusion.cli", "compile", str(model), "-o", str(self.output)]
        self.command += ["--strategy", "baseline"]
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DLFUSION_CACHE_DIR": str(self.cache),
            "TMPDIR": str(self.temporary),
        }

    @contextmanager
    def running(self, most_bytes: int | None = None) -> Iterator["subprocess.Popen[str]"]:
        """The process; `most_bytes` are the largest file that it may write."""

        def prepare() -> None:
            # What is started in the background of a shell script ignores Ctrl-C, and so do its children.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            limit_files(most_bytes)

        with subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=prepare,
        ) as process:  # fmt: skip
            yield process

    def ended(self, most_bytes: int | None = None) -> tuple[int, str]:
        """Exit status and messages of a whole run."""
        with self.running(most_bytes) as process:
            _, text = process.communicate(timeout=200)
        return process.returncode, " ".join(text.split())

    def stopped(self, stage: str, number: signal.Signals) -> tuple[int, str]:
        """Exit status and messages of a run that gets a signal when a stage begins."""
        with self.running() as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(stage):
                    process.send_signal(number)
                    break
            _, text = process.communicate(timeout=200)
        return process.returncode, " ".join(text.split())

    def rests(self) -> set[str]:
        """What lies beside the compiled model, hidden or not, temporary files, and half-written ones of the cache."""
        beside = {path.name for path in self.output.parent.iterdir()} - {self.output.name}
        half_written = {path.name for path in self.cache.rglob(".partial-*")}
        return beside | half_written | {path.name for path in self.temporary.iterdir()} - {ONNX_RUNTIMES_OWN}


@pytest.fixture
def compiling(model: Path, tmp_path: Path) -> Compiling:
    return Compiling(model, tmp_path)


def test_ctrl_c_at_any_stage_leaves_nothing(compiling: Compiling, image: Path) -> None:
    for stage in STAGES:
        status, text = compiling.stopped(stage, signal.SIGINT)
        # If it came while a package was imported, Python may end by the signal itself, which shells call 130.
        assert status in (EXIT_INTERRUPTED, -signal.SIGINT), (stage, text)
        assert "Traceback" not in text, (stage, text)
        assert "interrupted; nothing was left half-written" in text
        assert compiling.rests() == set(), stage
        assert compiling.output.exists() == (stage in ("check", "measure"))
    assert invoke("run", compiling.output, "--input", image).exit_code == 0


def test_ctrl_c_while_packages_load(compiling: Compiling, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    compiling.environment["PYTHONPATH"] = os.pathsep.join((str(tmp_path), *sys.path))
    assert compiling.ended() == (EXIT_INTERRUPTED, "interrupted; nothing was left half-written")


def test_kill_at_any_stage_leaves_what_the_next_run_removes(compiling: Compiling, image: Path) -> None:
    for stage in STAGES:
        status, _ = compiling.stopped(stage, signal.SIGKILL)
        assert status == -signal.SIGKILL
        rests = [name for name in compiling.rests() if not name.startswith(".partial-")]
        assert all(name.startswith((".m.partial-", ".m.old-", "dlfusion-scratch-")) for name in rests), (stage, rests)
        assert len(rests) <= 2, (stage, rests)
        assert compiling.output.exists() == (stage in ("check", "measure"))
    status, text = compiling.ended()  # which compares with ONNX Runtime
    assert status == 0, text
    assert all(name.startswith(".partial-") for name in compiling.rests())  # pruned from the cache when a day old
    assert invoke("run", compiling.output, "--input", image).exit_code == 0


def test_compilers_that_hang_or_fail(compiling: Compiling, tmp_path: Path) -> None:
    script = tmp_path / "compiler"
    compiling.environment |= {"CXX": str(script), "DLFUSION_COMPILER_TIMEOUT": "8"}
    for case, action, message in (
        ("*blocks_0.cpp*", "sleep 100", "did not finish within 8 s: {script}"),
        ("*blocks_0.cpp*", "echo internal error; exit 3", "ended with status 3 internal error The command was"),
        ("*-shared*", "kill -9 $$", "cannot link model.so: the compiler was killed by signal 9"),
    ):
        skip_trial = 'case "$*" in *trial*) ;; *) '
        text = f'{skip_trial} case "$*" in {case}) {action};; esac;; esac\n{shell_call()}'
        script.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        script.chmod(0o755)
        status, said = compiling.ended()
        assert status == EXIT_USER_ERROR, said
        assert message.format(script=script) in said
        assert "Traceback" not in said
        assert list(compiling.output.parent.iterdir()) == []
        assert compiling.rests() == set()


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf"])
def test_times_for_the_compiler_that_mean_nothing(seconds: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLFUSION_COMPILER_TIMEOUT", seconds)
    result = invoke("compile", model)
    assert result.exit_code == EXIT_USER_ERROR
    assert f"DLFUSION_COMPILER_TIMEOUT is '{seconds}'; it must be a positive number" in " ".join(result.stderr.split())


def test_disks_that_are_full_sooner_or_later(compiling: Compiling, image: Path) -> None:
    """A limit of the size of files stands for the disk; each run finds in the cache what those before it could make."""
    for most_bytes in (0, 3000, 15_000, 30_000):
        status, text = compiling.ended(most_bytes)
        assert (status, text.count("Traceback")) == (EXIT_USER_ERROR, 0), (most_bytes, text)
        assert list(compiling.output.parent.iterdir()) == []
        assert compiling.rests() == set(), most_bytes
    status, text = compiling.ended()
    assert status == 0, text
    assert invoke("run", compiling.output, "--input", image).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "most_bytes", "message"),
    [
        (("compile", "{model}", "-t", "mlu100", "-o", "{place}/project"), 3000, "cannot write the project"),
        (("explain", "{model}", "-s", "baseline", "--save-plan", "{place}/plan.json"), 100, "cannot write {place}"),
        (("run", "{compiled}", "-i", "{image}", "-o", "{place}/y.npy"), 100, "cannot write {place}"),
        (("explain", "{model}", "-s", "baseline", "--json"), None, "cannot write output: No space left on device"),
    ],
)
def test_results_that_find_no_room(
    arguments: tuple[str, ...],
    most_bytes: int | None,
    message: str,
    model: Path,
    compiled: Path,
    image: Path,
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    names = {"model": model, "compiled": compiled, "image": image, "place": place}
    command = [sys.executable, "-m", "dlfusion.cli", *(argument.format(**names) for argument in arguments)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
            preexec_fn=partial(limit_files, most_bytes),
        )  # fmt: skip
    said = " ".join(result.stderr.split())
    assert (result.returncode, said.count("Traceback")) == (EXIT_USER_ERROR, 0), said
    assert message.format(**names) in said
    assert list(place.iterdir()) == []


@pytest.mark.skipif(not HAS_GXX, reason="needs g++")
def test_a_cache_that_cannot_be_written_is_done_without(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DLFUSION_CACHE_DIR", str(tmp_path / "file" / "cache"))
    result = invoke("compile", model, "-o", tmp_path / "m", "--strategy", "baseline")
    assert result.exit_code == 0, result.output
    assert "cannot be written" in " ".join(result.stderr.split())
    assert (tmp_path / "m" / "model.so").is_file()


def test_two_compilations_of_one_model_at_once(compiling: Compiling, image: Path) -> None:
    with compiling.running() as first, compiling.running() as second:
        texts = [process.communicate(timeout=200)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), texts
    assert compiling.rests() == set()
    assert invoke("run", compiling.output, "--input", image).exit_code == 0
