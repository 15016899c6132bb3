"""Comparing strategies with ONNX Runtime: compile here, then time everything in turns in one pinned child process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlfusion import driver
from dlfusion.bench import onnx_runtime
from dlfusion.errors import DlfusionError, InputError, VerificationError
from dlfusion.layers.layer import Network
from dlfusion.machine.host import host, usable_cpus
from dlfusion.report.record import PEER, Comparison, Engine, Record
from dlfusion.runtime.check import TOLERANCE

Shapes = Mapping[str, tuple[int, ...]]

STRATEGIES = ("baseline", "all-cores", "fuse-all", "fixed-block", "dlfusion")


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare: strategies and core counts to try, seconds of runs for each engine, and what else to measure."""

    strategies: tuple[str, ...] = STRATEGIES
    cores: tuple[int, ...] = (1,)
    seconds: float = 3.0
    memory: bool = True
    shapes: Shapes | None = None
    isa: str | None = None


@dataclass(frozen=True, slots=True)
class _Artefact:
    strategy: str
    folder: Path
    build_seconds: float


def compare(models: Sequence[Path], chosen: Options, progress: driver.ProgressCallback | None = None) -> Record:
    """Measure each model on each core count.

    Raises:
        DlfusionError: a model cannot be compiled, ONNX Runtime is missing, or an engine fails while it runs.
        InputError: more cores are asked for than this process may use.
        VerificationError: a compiled model computes something else than ONNX Runtime; its time would mean nothing.
    """
    available = usable_cpus()
    for cores in chosen.cores:
        if cores > len(available):
            raise InputError(f"--cores {cores} is more than the {len(available)} cores that this process may use")
    peer_version = onnx_runtime.version()
    comparisons = []
    for model in models:
        for cores in chosen.cores:
            stages = _Stages(f"{model.stem}, {cores} {'core' if cores == 1 else 'cores'}", progress)
            comparisons.append(_compare_one(model, cores, chosen, available[:cores], stages))
    return Record(host().fingerprint, {"onnxruntime": peer_version}, chosen.seconds, tuple(comparisons))


class _Stages:
    """Tells the caller which of one comparison's stages is under way."""

    def __init__(self, title: str, progress: driver.ProgressCallback | None) -> None:
        self._title = title
        self._progress = progress

    def at(self, stage: str, done: int, total: int) -> None:
        """`done` of the stage's `total` steps are finished."""
        if self._progress is not None:
            self._progress(f"{self._title}: {stage}", done, total)


def _compare_one(model: Path, cores: int, chosen: Options, cpus: Sequence[int], stages: _Stages) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="dlfusion-bench-") as scratch:
        network = driver.import_model(model, shapes=chosen.shapes)
        artefacts, same_plan = _compile_all(network, cores, chosen, Path(scratch), stages)
        job = {
            "model": str(model),
            "ports": [(port.name, port.array_shape) for port in network.graph.inputs],
            "folders": {artefact.strategy: str(artefact.folder) for artefact in artefacts},
            "cpus": list(cpus),
            "seconds": chosen.seconds,
        }
        stages.at("time in turns", 0, 1)
        timed = run_worker("times", job)
        stages.at("time in turns", 1, 1)
        engines = [_engine(PEER, timed)]
        engines += [
            replace(_engine(artefact.strategy, timed), build_seconds=artefact.build_seconds) for artefact in artefacts
        ]
        for engine in engines:
            _require_equal(model, engine)
        if chosen.memory:
            for index, engine in enumerate(engines):
                stages.at("memory", index, len(engines))
                answer = run_worker("memory", {**job, "engine": engine.name})
                engines[index] = replace(engine, peak_memory_bytes=answer["peak_bytes"])
            stages.at("memory", len(engines), len(engines))
    return Comparison(model.stem, cores, tuple(engines), same_plan)


def _require_equal(model: Path, engine: Engine) -> None:
    """Raise VerificationError if the engine's outputs are not ONNX Runtime's."""
    difference = engine.largest_difference
    if difference is not None and not difference <= TOLERANCE:
        raise VerificationError(
            f"{model} by strategy {engine.name} differs from ONNX Runtime by {difference:.2e} of the output's scale, "
            f"allowed is {TOLERANCE:g}; find the layer with: dlfusion compile {model} --strategy {engine.name}"
        )


def _compile_all(
    network: Network, cores: int, chosen: Options, scratch: Path, stages: _Stages
) -> tuple[tuple[_Artefact, ...], dict[str, str]]:
    """Compile each strategy's plan; strategies whose blocks are equal share one artefact."""
    artefacts: list[_Artefact] = []
    same_plan: dict[str, str] = {}
    first_with: dict[tuple[Any, ...], str] = {}
    for index, strategy in enumerate(chosen.strategies):
        stages.at("compile", index, len(chosen.strategies))
        plan = driver.plan(network, strategy=strategy, cores=cores)
        blocks = tuple(replace(block, reason="") for block in plan.blocks)
        if blocks in first_with:
            same_plan[strategy] = first_with[blocks]
            continue
        first_with[blocks] = strategy
        with driver.compile(network, plan=plan, isa=chosen.isa, folder=scratch / str(index)) as compiled:
            artefacts.append(_Artefact(strategy, compiled.folder, compiled.build_seconds))
    stages.at("compile", len(chosen.strategies), len(chosen.strategies))
    return tuple(artefacts), same_plan


def _engine(name: str, timed: Mapping[str, Any]) -> Engine:
    entry = timed["engines"][name]
    return Engine(name, tuple(entry["samples_seconds"]), largest_difference=entry["largest_difference"])


def run_worker(mode: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a worker process to a job; the process is stopped when this one is interrupted.

    Raises:
        DlfusionError: the worker failed; the message ends with the last lines that it printed.
    """
    command = [sys.executable, "-m", "dlfusion.bench.worker", mode]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            output, errors = child.communicate(json.dumps(job))
        finally:
            child.kill()
    if child.returncode != 0:
        last = "\n".join(errors.strip().splitlines()[-8:])
        what = f"the process that measures {job['model']} on {len(job['cpus'])} cores"
        raise DlfusionError(f"{what} ended with status {child.returncode}:\n{last}")
    answer: dict[str, Any] = json.loads(output)
    return answer
