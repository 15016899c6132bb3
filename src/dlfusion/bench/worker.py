"""The child process of a comparison: pinned to its cores, it times all engines in turns, or one engine's memory.

Reads a job as JSON from standard input and writes the answer as JSON to standard output. It imports neither ONNX nor
the compiler: a compiled model runs without them, and its memory is measured without them.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlfusion.bench import onnx_runtime
from dlfusion.graph.graph import Array
from dlfusion.report.record import PEER
from dlfusion.runtime import memory as resident
from dlfusion.runtime.check import compare
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.measure import interleave

SEED = 0
MEMORY_RUNS = 3
CLOCK_DIGITS = 9
"""The clock counts nanoseconds; further digits of a sample are noise of the subtraction."""

Job = dict[str, Any]
"""`model`: the ONNX file; `folders`: a compiled folder for each strategy; `cpus`: the CPUs to run on; `ports`: name and
shape of each input; `seconds`: how long each engine runs; `engine`: the one whose memory is measured."""


def main() -> None:
    """Do the job that standard input describes, in the way that the first argument names."""
    job: Job = json.load(sys.stdin)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cpus"])
    modes: dict[str, Callable[[Job], dict[str, Any]]] = {"times": times, "memory": memory}
    json.dump(modes[sys.argv[1]](job), sys.stdout)


def times(job: Job) -> dict[str, Any]:
    """Samples of every engine, and how far our outputs are from ONNX Runtime's, relative to their scale."""
    inputs = _inputs(job)
    programs = {name: Executable.load(Path(folder)) for name, folder in job["folders"].items()}
    peer = _peer(job, inputs)
    expected = peer()
    differences = {name: compare(program.run(inputs), expected).relative for name, program in programs.items()}
    runs: dict[str, Callable[[], object]] = {PEER: peer}
    runs |= {name: partial(program.run, inputs) for name, program in programs.items()}
    measured = interleave(runs, job["seconds"])
    return {
        "engines": {
            name: {
                "samples_seconds": [round(sample, CLOCK_DIGITS) for sample in measurement.samples],
                "largest_difference": differences.get(name),
            }
            for name, measurement in measured.items()
        }
    }


def memory(job: Job) -> dict[str, Any]:
    """Peak resident memory of opening and running one engine, above what the process had with all code loaded.

    The inputs exist before, the outputs are part of the run.
    """
    inputs = _inputs(job)
    if job["engine"] == PEER:
        onnx_runtime.preload()
    resident.reset_peak()
    start_bytes = resident.resident_bytes()
    if job["engine"] == PEER:
        run: Callable[[], object] = _peer(job, inputs)
    else:
        run = partial(Executable.load(Path(job["folders"][job["engine"]])).run, inputs)
    for _ in range(MEMORY_RUNS):
        run()
    return {"peak_bytes": max(0, resident.peak_bytes() - start_bytes)}


def _inputs(job: Job) -> tuple[Array, ...]:
    generator = np.random.default_rng(SEED)
    return tuple(generator.standard_normal(shape, np.float32) for _, shape in job["ports"])


def _peer(job: Job, inputs: tuple[Array, ...]) -> Callable[[], tuple[Array, ...]]:
    names = [name for name, _ in job["ports"]]
    session = onnx_runtime.session(Path(job["model"]), len(job["cpus"]))
    return partial(session, dict(zip(names, inputs, strict=True)))


if __name__ == "__main__":
    main()
