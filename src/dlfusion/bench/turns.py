"""Engines in processes of their own that run in turns: while one computes, the threads of all others sleep.

Engines keep their threads spinning for up to a tenth of a second after a run, so that the next run starts faster. Their
settings are left as they are; instead, an engine's turn is over only when the system shows all its threads asleep.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Task
from dlfusion.runtime.measure import MINIMUM_SAMPLES

CONVERT_SECONDS = 600.0
LOAD_SECONDS = 600.0
TURN_SECONDS = 300.0
"""Longest waits for an engine, far above what any model of the benchmark takes."""

IDLE_SECONDS = 5.0
END_SECONDS = 10.0
"""How long a process that has closed its output may take to end."""

_POLL_SECONDS = 0.001
_LAST_LINES = 4


@dataclass(frozen=True, slots=True)
class Start:
    """What an engine's process is started with.

    `settings` are environment variables besides this process's own; the outputs go to the file `outputs` (.npz).
    """

    adapter: type[Adapter]
    task: Task
    cpus: tuple[int, ...]
    outputs: Path
    memory: bool = True
    environment: Mapping[str, str] | None = None


class EngineProcess:
    """An engine that has loaded its model and waits for turns. Usable as a context manager, which ends the process."""

    def __init__(self, start: Start) -> None:
        """Start the process and wait until the model is loaded, warm and its outputs are written.

        Raises:
            CannotRunError: the engine refuses the model, crashes or takes too long.
        """
        job = {
            "adapter": reference(start.adapter),
            "task": start.task.document(),
            "cpus": list(start.cpus),
            "memory": start.memory,
            "outputs": str(start.outputs),
        }
        self.samples: list[float] = []
        self.spent_seconds = 0.0
        self._child = _Child("serve", job, start.environment)
        try:
            self.peak_bytes: int | None = self._child.answer(LOAD_SECONDS)["peak_bytes"]
            self._child.wait_until_idle()
        except BaseException:
            self._child.close()
            raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.pid

    def take_turn(self) -> None:
        """Run for a slice of time and keep the samples; comes back when all threads sleep again.

        Raises:
            CannotRunError: the engine crashes, takes too long, or its threads never rest.
        """
        self._child.send("turn")
        answer = self._child.answer(TURN_SECONDS)
        self.samples += answer["samples_seconds"]
        self.spent_seconds += answer["spent_seconds"]
        self._child.wait_until_idle()

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def take_turns(engines: Mapping[str, EngineProcess], seconds: float) -> dict[str, CannotRunError]:
    """Let the engines run in turns, each for about `seconds` in all and at least `MINIMUM_SAMPLES` runs.

    Each round begins with the engine that was second in the one before. Returns the engines that failed on the way and
    why.
    """
    failed: dict[str, CannotRunError] = {}
    turn = list(engines)
    while turn:
        unfinished = []
        for name in turn:
            engine = engines[name]
            try:
                engine.take_turn()
            except CannotRunError as error:
                failed[name] = error
                engine.close()
                continue
            if engine.spent_seconds < seconds or len(engine.samples) < MINIMUM_SAMPLES:
                unfinished.append(name)
        turn = unfinished[1:] + unfinished[:1]
    return failed


def convert(adapter: type[Adapter], task: Task, folder: Path) -> Path:
    """The file that the engine loads, made in the empty folder by its converter in a process of its own.

    Raises:
        CannotRunError: the converter refuses the model, crashes or takes too long.
    """
    child = _Child("convert", {"adapter": reference(adapter), "task": task.document(), "folder": str(folder)}, None)
    try:
        return Path(child.answer(CONVERT_SECONDS)["file"])
    finally:
        child.close()


def reference(adapter: type[Adapter]) -> str:
    """The adapter's module and class, for another process to find it by."""
    return f"{adapter.__module__}:{adapter.__qualname__}"


class _Child:
    """A process of `dlfusion.bench.worker` and the lines that go to and fro."""

    def __init__(self, mode: str, job: Mapping[str, Any], environment: Mapping[str, str] | None) -> None:
        self._folders = _folders(job)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dlfusion.bench.worker", mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # so that whatever it starts can be ended with it
        )
        self.send(json.dumps(job))

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # the answer that never comes says what went wrong

    def answer(self, seconds: float) -> dict[str, Any]:
        """The next line that the process writes."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            raise CannotRunError(f"it takes more than {seconds:.0f} s")
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise CannotRunError(f"its process {self._end()}{self._last_lines()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise CannotRunError(without_folders(answer["failed"], self._folders))
        return answer

    def wait_until_idle(self) -> None:
        """Return when two looks in a row find every thread asleep."""
        deadline = time.monotonic() + IDLE_SECONDS
        asleep = 0
        while asleep < 2:
            if time.monotonic() > deadline:
                raise CannotRunError(f"its threads still compute {IDLE_SECONDS:.0f} s after a run")
            time.sleep(_POLL_SECONDS)
            asleep = asleep + 1 if _all_asleep(self._process.pid) else 0

    def close(self) -> None:
        # The group outlives its leader: a converter that has crashed may leave others at work.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        self._errors.close()

    def _end(self) -> str:
        """How the process ended, which it should have when its output is closed."""
        try:
            return f"ended with status {self._process.wait(END_SECONDS)}"
        except subprocess.TimeoutExpired:
            return f"closed its output and still runs {END_SECONDS:.0f} s later"

    def _last_lines(self) -> str:
        self._errors.seek(0)
        text = without_folders(self._errors.read().decode(errors="replace"), self._folders)
        lines = text.strip().splitlines()[-_LAST_LINES:]
        return "".join(f"; {line.strip()}" for line in lines if line.strip())


def without_folders(text: str, folders: Iterable[Path]) -> str:
    """The text with files named without these folders, which mean nothing to those who read it elsewhere."""
    for folder in sorted({str(folder) for folder in folders}, key=len, reverse=True):
        if folder not in (os.sep, "."):
            # Not inside a longer path: /other/data/x is no file of /data.
            text = re.sub(rf"(?<![\w.-]){re.escape(folder + os.sep)}", "", text)
    return text


def _folders(job: Mapping[str, Any]) -> tuple[Path, ...]:
    """The folders of the files that a job names, and Python's own."""
    files = (
        Path(job["task"]["model"]),
        Path(job["task"]["file"]),
        *([Path(job["outputs"])] if "outputs" in job else []),
    )
    written = (Path(job["folder"]),) if "folder" in job else ()
    return (*(file.parent for file in files), *written, Path(sys.prefix), Path(sys.base_prefix))


def _all_asleep(pid: int) -> bool:
    """True if no thread of the process runs or waits for a core: the state in /proc/PID/task/TID/stat, see proc(5)."""
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            text = thread.read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended
        # The name before the state, in brackets, may hold anything.
        if text.rpartition(")")[2].split()[0] == "R":
            return False
    return True
