"""The child process of a comparison: one engine, pinned to its cores, that runs when it is its turn.

It reads lines of JSON from standard input: first the job, then one line for each turn. It answers with lines of JSON on
what was its standard output when it started; what engines print goes to standard error. It imports neither ONNX nor
what plans and compiles, so that the memory of a model is measured without them.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Session, Task
from dlfusion.bench.instructions import hide_as_told
from dlfusion.errors import DlfusionError
from dlfusion.graph.graph import Array
from dlfusion.runtime import memory as resident
from dlfusion.runtime.measure import time_slice, without_result

SEED = 0
WARM_UP_RUNS = 3
CLOCK_DIGITS = 9
"""The clock counts nanoseconds; further digits of a sample are noise of the subtraction."""

Job = dict[str, Any]
"""`adapter`: module and class of the adapter; `task`: its `Task`; `cpus`: the CPUs to run on; `memory`: whether to
measure it; `outputs`: the file for the outputs; `folder`: where a conversion writes."""


def main() -> None:
    """Do the job on standard input in the way that the first argument names: `convert` or `serve`."""
    answers = _private_output()
    job: Job = json.loads(sys.stdin.readline())
    try:
        adapter = _adapter(job["adapter"])
        task = Task.of(job["task"])
        if sys.argv[1] == "convert":
            _answer(answers, {"file": str(adapter.convert(task, Path(job["folder"])))})
        else:
            serve(adapter, task, job, answers)
    except DlfusionError as error:
        _answer(answers, {"failed": str(error)})
    except Exception as error:  # noqa: BLE001 - engines' exceptions have no common base
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        _answer(answers, {"failed": ": ".join((type(error).__name__, *lines[-1:]))})


def serve(adapter: type[Adapter], task: Task, job: Job, answers: TextIO) -> None:
    """Load the model, write its outputs, say so; then, for each line that comes in, run for a slice of time."""
    os.sched_setaffinity(0, job["cpus"])
    if not hide_as_told():
        raise CannotRunError("it cannot be kept to the instruction set")
    inputs = _inputs(task)
    adapter.preload()
    session, peak_bytes = _load(adapter, task, inputs, measure=job["memory"])
    np.savez(job["outputs"], *session.arrays(session.run()))
    _answer(answers, {"peak_bytes": peak_bytes})
    for _ in sys.stdin:
        counted: list[tuple[float, None]] = []
        spent = time_slice(without_result(session.run), counted)
        samples = [round(seconds, CLOCK_DIGITS) for seconds, _ in counted]
        _answer(answers, {"samples_seconds": samples, "spent_seconds": spent})


def _load(
    adapter: type[Adapter], task: Task, inputs: tuple[Array, ...], *, measure: bool
) -> tuple[Session, int | None]:
    """The warm session, and its peak resident memory above what the process had with inputs and all code loaded.

    What loading, optimizing and packing the model take counts: a user's process needs that too.

    The inputs exist before, the outputs are part of the run.
    """
    start_bytes = 0
    if measure:
        resident.reset_peak()
        start_bytes = resident.resident_bytes()
    session = adapter.load(task, inputs)
    for _ in range(WARM_UP_RUNS):
        session.run()
    return session, max(0, resident.peak_bytes() - start_bytes) if measure else None


def _inputs(task: Task) -> tuple[Array, ...]:
    generator = np.random.default_rng(SEED)
    return tuple(generator.standard_normal(port.shape, np.float32) for port in task.inputs)


def _adapter(reference: str) -> type[Adapter]:
    module, _, name = reference.partition(":")
    found: type[Adapter] = getattr(import_module(module), name)
    return found


def _private_output() -> TextIO:
    """Standard output for answers alone; whatever else writes to it from now on reaches standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _answer(answers: TextIO, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
