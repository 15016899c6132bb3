"""Engines that go wrong in one way each; what they compute, ONNX Runtime computes for them."""

import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlfusion.bench.engines.adapter import CannotRunError, Session, Task
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.graph.graph import Array
from dlfusion.targets.cpu.precision import Precision

CRASH = 3
"""Exit status of an engine that crashes."""

RUNS_BEFORE_CRASH = 8
"""More than the runs before the first turn."""

SPIN_SECONDS = 0.03


class Faithful(OnnxRuntime):
    """Computes what it should, loads a copy of the model, and prints on standard output while it does."""

    name = "faithful"
    title = "Faithful"
    precisions = tuple(Precision)

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        print("converted")  # noqa: T201 - engines print
        if not task.model.is_absolute():
            raise CannotRunError("converters run in a folder of their own")
        copy = folder / "copy.onnx"
        copy.write_bytes(task.model.read_bytes())
        return copy

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        os.write(1, b"loaded\n")
        return super().load(task, inputs)


class Wrong(OnnxRuntime):
    """Computes something else."""

    name = "wrong"
    title = "Wrong"

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        right = super().load(task, inputs)
        return replace(right, arrays=lambda found: tuple(array * 1.5 for array in right.arrays(found)))


class Refusing(OnnxRuntime):
    """Its converter refuses every model."""

    name = "refusing"
    title = "Refusing"

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        raise CannotRunError("its converter knows no layers")


class Crashing(OnnxRuntime):
    """Ends its process when it loads a model."""

    name = "crashing"
    title = "Crashing"

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        sys.stderr.write("out of luck\n")
        sys.stderr.flush()
        os._exit(CRASH)


class CrashingLater(OnnxRuntime):
    """Ends its process in the middle of a turn."""

    name = "later"
    title = "Later"

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        inner = super().load(task, inputs)
        runs = 0

        def run() -> Any:
            nonlocal runs
            runs += 1
            if runs > RUNS_BEFORE_CRASH:
                os._exit(CRASH)
            time.sleep(0.02)
            return inner.run()

        return replace(inner, run=run)


class Spinning(OnnxRuntime):
    """Keeps a thread busy for a moment after each run, as engines do."""

    name = "spinning"
    title = "Spinning"
    seconds = SPIN_SECONDS

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        inner = super().load(task, inputs)

        def run() -> Any:
            threading.Thread(target=cls._spin).start()
            return inner.run()

        return replace(inner, run=run)

    @classmethod
    def _spin(cls) -> None:
        end = time.monotonic() + cls.seconds
        while time.monotonic() < end:
            pass


class Restless(Spinning):
    """Its threads never sleep."""

    name = "restless"
    title = "Restless"
    seconds = 60.0


class Sleeping(OnnxRuntime):
    """Its converter does not come to an end."""

    name = "sleeping"
    title = "Sleeping"

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        time.sleep(60)
        return task.model


class Result:
    """What a run of `Frugal` gives, which can be watched, other than a list of arrays."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


class Frugal(OnnxRuntime):
    """Allocates a result in each run, and fails as soon as more than one from before is still alive."""

    name = "frugal"
    title = "Frugal"

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        inner = super().load(task, inputs)
        alive: weakref.WeakSet[Result] = weakref.WeakSet()

        def run() -> Result:
            if len(alive) > 1:
                raise CannotRunError(f"{len(alive)} results are kept")
            result = Result(inner.run())
            alive.add(result)
            return result

        return Session(run, lambda result: inner.arrays(result.inner))


class Raising(OnnxRuntime):
    """Raises an exception of its own, of several lines, that names files, as soon as it runs."""

    name = "raising"
    title = "Raising"

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        def run() -> Any:
            raise RuntimeError(f"in some source file:\nno kernel for the layer in {task.file}\n")

        return replace(super().load(task, inputs), run=run)


class Hanging(OnnxRuntime):
    """Does not come back from a turn."""

    name = "hanging"
    title = "Hanging"

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        inner = super().load(task, inputs)
        runs = 0

        def run() -> Any:
            nonlocal runs
            runs += 1
            if runs > RUNS_BEFORE_CRASH:
                time.sleep(60)
            return inner.run()

        return replace(inner, run=run)


class Silent(OnnxRuntime):
    """Closes all that it could answer with, and goes on."""

    name = "silent"
    title = "Silent"

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        os.closerange(3, 100)
        time.sleep(60)
        return task.model


class Abandoning(OnnxRuntime):
    """Its converter starts a process, whose number it writes to `child` beside the model, and crashes."""

    name = "abandoning"
    title = "Abandoning"

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        child = subprocess.Popen(["sleep", "60"])
        (task.model.parent / "child").write_text(str(child.pid))
        sys.stderr.write(f"crashed on {folder / 'part.bin'}\n")
        sys.stderr.flush()
        os._exit(CRASH)
