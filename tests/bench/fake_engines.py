"""Engines that go wrong in one way each; what they compute, ONNX Runtime computes for them."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlfusion.bench.engines.adapter import BF16, FP32, CannotRunError, Session, Task
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.graph.graph import Array

CRASH = 3
"""Exit status of an engine that crashes."""

RUNS_BEFORE_CRASH = 8
"""More than the runs before the first turn."""

SPIN_SECONDS = 0.03


class Faithful(OnnxRuntime):
    """Computes what it should, loads a copy of the model, and prints on standard output while it does."""

    name = "faithful"
    title = "Faithful"
    precisions = (FP32, BF16)

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
