"""Comparing strategies with other engines: compile and convert here, then time all engines in turns."""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dlfusion import driver
from dlfusion.bench.engines import installed_peers
from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Task
from dlfusion.bench.engines.compiled import Compiled
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.bench.instructions import Restriction, restriction
from dlfusion.bench.turns import EngineProcess, Start, convert, take_turns
from dlfusion.errors import DlfusionError, InputError, VerificationError
from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Network
from dlfusion.machine.host import host, usable_cpus
from dlfusion.report.record import Comparison, Engine, Record
from dlfusion.report.units import cores_text
from dlfusion.runtime.check import compare as difference
from dlfusion.runtime.program import ArrayPort
from dlfusion.runtime.scratch import scratch_folder
from dlfusion.search import find_strategy
from dlfusion.targets.cpu.measuring import CpuTarget
from dlfusion.targets.cpu.precision import Precision

Shapes = Mapping[str, tuple[int, ...]]

STRATEGIES = ("baseline", "all-cores", "fuse-all", "fixed-block", "dlfusion")


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare: strategies, core counts and peers to try, seconds of runs for each engine, and what else.

    `peers` are adapters (default: of all peers that are installed). `memory` also measures peak memory. `isa` is the
    instruction set of ours, and of peers where they can be kept to it. `exact` computes all our layers directly. Plans
    are made with the `profile` (default: the user's, else the one that ships).
    """

    strategies: tuple[str, ...] = STRATEGIES
    cores: tuple[int, ...] = (1,)
    seconds: float = 3.0
    memory: bool = True
    shapes: Shapes | None = None
    isa: str | None = None
    peers: tuple[type[Adapter], ...] | None = None
    precision: Precision = Precision.FP32
    exact: bool = False
    profile: Path | None = None

    @property
    def adapters(self) -> tuple[type[Adapter], ...]:
        """The peers that take part."""
        return installed_peers() if self.peers is None else self.peers


def compare(models: Sequence[Path], chosen: Options, progress: driver.ProgressCallback | None = None) -> Record:
    """Measure each model on each core count.

    A peer that fails is not an error: the record says why it cannot run.

    Raises:
        DlfusionError: a model cannot be compiled, ONNX Runtime is missing, or one of our programs fails while it runs.
        InputError: more cores are asked for than this process may use, or this CPU lacks the instruction set.
        PlanError: there is no such strategy.
        VerificationError: a compiled model computes something else than ONNX Runtime; its time would mean nothing.
    """
    available = usable_cpus()
    for cores in chosen.cores:
        if cores > len(available):
            raise InputError(f"--cores {cores} is more than the {len(available)} cores that this process may use")
    target = CpuTarget(chosen.isa, precision=chosen.precision)
    for strategy in chosen.strategies:
        find_strategy(strategy)
    OnnxRuntime.require()  # all outputs are compared with its
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=scratch_folder()) as scratch:
        limits = restriction(chosen.isa, Path(scratch))
        setup = _Setup(chosen, target, limits)
        for model in models:
            comparisons += _compare_model(model, setup, _Stages(model.stem, progress))
    return Record(
        host().fingerprint,
        {"dlfusion": metadata.version("dlfusion"), **{peer.name: peer.version() for peer in chosen.adapters}},
        chosen.seconds,
        tuple(comparisons),
        chosen.precision,
        chosen.isa,
        tuple(peer.name for peer in chosen.adapters if not limits.holds(peer)),
    )


class _Stages:
    """Tells the caller which stage of a model's comparison is under way."""

    def __init__(self, title: str, progress: driver.ProgressCallback | None) -> None:
        self._title = title
        self._progress = progress

    def at(self, stage: str, done: int, total: int) -> None:
        """`done` of the stage's `total` steps are finished."""
        if self._progress is not None:
            self._progress(f"{self._title}: {stage}", done, total)

    def on(self, cores: int) -> "_Stages":
        """The same for the part on so many cores."""
        return _Stages(f"{self._title}, {cores_text(cores)}", self._progress)


@dataclass(frozen=True, slots=True)
class _Setup:
    """What is the same for all models: the options, the target of ours, and how peers are kept to its instructions."""

    chosen: Options
    target: CpuTarget
    limits: Restriction


@dataclass(frozen=True, slots=True)
class _Entrant:
    """An engine that is to run: what is known of it so far, how it is loaded, and what it loads."""

    engine: Engine
    adapter: type[Adapter]
    task: Task
    environment: Mapping[str, str]


def _compare_model(model: Path, setup: _Setup, stages: _Stages) -> list[Comparison]:
    """One model on one core count after another; peers convert it once, each in a folder of its own."""
    model = model.resolve()
    chosen = setup.chosen
    available = usable_cpus()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=scratch_folder()) as folder:
        scratch = Path(folder)
        network = driver.import_model(model, shapes=chosen.shapes)
        expected = _expected(network, model, available[: max(chosen.cores)], scratch)
        peers = _convert_all(network, model, setup, scratch, stages)
        comparisons = []
        for cores in chosen.cores:
            own_stages = stages.on(cores)
            ours, same_plan = _compile_all(network, model, cores, setup, scratch, own_stages)
            entrants = tuple(replace(peer, task=replace(peer.task, cores=cores)) for peer in peers) + ours
            cpus = available[:cores]
            engines = _time_all(entrants, cpus, expected, chosen, scratch, own_stages)
            comparisons.append(Comparison(model.stem, cores, engines, same_plan, cpus))
    return comparisons


def _expected(network: Network, model: Path, cpus: Sequence[int], scratch: Path) -> tuple[Array, ...]:
    """ONNX Runtime's outputs, without any restriction."""
    file = scratch / "expected.npz"
    start = Start(OnnxRuntime, _task(network, model, len(cpus)), tuple(cpus), file, memory=False)
    try:
        with EngineProcess(start):
            return _arrays(file)
    except CannotRunError as error:
        raise DlfusionError(f"{model}: ONNX Runtime, whose outputs are the reference, fails: {error}") from error


def _convert_all(network: Network, model: Path, setup: _Setup, scratch: Path, stages: _Stages) -> tuple[_Entrant, ...]:
    """The peers with the files that they load; a peer whose converter fails has that as its problem."""
    entrants = []
    adapters = setup.chosen.adapters
    for index, adapter in enumerate(adapters):
        stages.at("convert", index, len(adapters))
        precision = adapter.precision(setup.chosen.precision)
        engine = Engine(adapter.name, (), is_peer=True, title=adapter.title, precision=precision)
        task = _task(network, model, 1, precision)
        folder = scratch / adapter.name
        folder.mkdir()
        try:
            task = replace(task, file=convert(adapter, task, folder))
        except CannotRunError as error:
            engine = replace(engine, problem=str(error))
        entrants.append(_Entrant(engine, adapter, task, setup.limits.environment(adapter)))
    stages.at("convert", len(adapters), len(adapters))
    return tuple(entrants)


def _compile_all(
    network: Network, model: Path, cores: int, setup: _Setup, scratch: Path, stages: _Stages
) -> tuple[tuple[_Entrant, ...], dict[str, str]]:
    """Compile each strategy's plan; strategies whose blocks are equal share one program."""
    entrants: list[_Entrant] = []
    same_plan: dict[str, str] = {}
    first_with: dict[tuple[Any, ...], str] = {}
    chosen = setup.chosen
    for index, strategy in enumerate(chosen.strategies):
        stages.at("compile", index, len(chosen.strategies))
        plan = driver.plan(network, setup.target, strategy, cores=cores, profile=chosen.profile, exact=chosen.exact)
        blocks = tuple(replace(block, reason="") for block in plan.blocks)
        if blocks in first_with:
            same_plan[strategy] = first_with[blocks]
            continue
        first_with[blocks] = strategy
        folder = scratch / f"{cores}-{index}"
        with driver.compile(
            network, plan=plan, isa=chosen.isa, exact=chosen.exact, precision=chosen.precision, folder=folder
        ) as compiled:
            description = compiled.executable.description
            settings = {key: str(description[key]) for key in ("isa", "compiler") if key in description}
            engine = Engine(
                strategy,
                (),
                build_seconds=compiled.build_seconds,
                title=Compiled.title,
                precision=chosen.precision,
                settings=settings,
            )
            task = replace(_task(network, model, cores, chosen.precision), file=compiled.folder)
        entrants.append(_Entrant(engine, Compiled, task, {}))
    stages.at("compile", len(chosen.strategies), len(chosen.strategies))
    return tuple(entrants), same_plan


def _time_all(
    entrants: Sequence[_Entrant],
    cpus: Sequence[int],
    expected: tuple[Array, ...],
    chosen: Options,
    scratch: Path,
    stages: _Stages,
) -> tuple[Engine, ...]:
    """Start all engines, check what they compute, then let those that are right run in turns."""
    found: dict[str, Engine] = {}
    running: dict[str, EngineProcess] = {}
    with ExitStack() as stack:
        for index, entrant in enumerate(entrants):
            stages.at("load", index, len(entrants))
            engine = entrant.engine
            if engine.is_peer:
                # Of files that this run made, names are kept: their folder is gone afterwards.
                environment = {key: Path(value).name for key, value in entrant.environment.items()}
                engine = replace(engine, settings={**entrant.adapter.settings(entrant.task), **environment})
            if engine.problem is None:
                file = scratch / "outputs.npz"
                start = Start(entrant.adapter, entrant.task, tuple(cpus), file, chosen.memory, entrant.environment)
                try:
                    process = stack.enter_context(EngineProcess(start))
                    running[engine.name] = process
                    engine = replace(engine, peak_memory_bytes=process.peak_bytes)
                    engine = _checked(engine, entrant.task, chosen, difference(_arrays(file), expected).relative)
                except CannotRunError as error:
                    engine = _failed(engine, entrant.task, chosen, error)
                if engine.problem is not None and engine.name in running:
                    running.pop(engine.name).close()
            found[engine.name] = engine
        stages.at("load", len(entrants), len(entrants))
        stages.at("time in turns", 0, 1)
        failed = take_turns(running, chosen.seconds)
        stages.at("time in turns", 1, 1)
    for entrant in entrants:
        name = entrant.engine.name
        if name in failed:
            found[name] = _failed(found[name], entrant.task, chosen, failed[name])
        elif name in running:
            found[name] = replace(found[name], samples_seconds=tuple(running[name].samples))
    return tuple(found.values())


def _checked(engine: Engine, task: Task, chosen: Options, relative: float) -> Engine:
    """The engine with its difference from the reference; with a problem, if it is a peer that computes something else.

    Raises:
        VerificationError: it is ours that does.
    """
    allowed = engine.allowed_difference
    problem = None
    if not relative <= allowed:
        problem = f"its outputs differ by {relative:.2e} of their scale from ONNX Runtime's, allowed is {allowed:g}"
        if not engine.is_peer:
            raise VerificationError(
                f"{_ours(engine, task)}: {problem}; find the layer with: {_compile_command(engine, task, chosen)}"
            )
    return replace(engine, largest_difference=relative, problem=problem)


def _failed(engine: Engine, task: Task, chosen: Options, error: CannotRunError) -> Engine:
    """The peer with the error as its problem.

    Raises:
        DlfusionError: it is no peer but our own program.
    """
    if not engine.is_peer:
        raise DlfusionError(
            f"{_ours(engine, task)}: {error}; see what it does alone with: {_compile_command(engine, task, chosen)}"
        ) from error
    return replace(engine, problem=str(error))


def _ours(engine: Engine, task: Task) -> str:
    return f"{task.model} compiled with strategy {engine.name}, on {cores_text(task.cores)}"


def _compile_command(engine: Engine, task: Task, chosen: Options) -> str:
    """The command that compiles the same program and checks it layer by layer if it is wrong."""
    words = ["dlfusion", "compile", str(task.model), "--strategy", engine.name, "--cores", str(task.cores)]
    words += [] if chosen.isa is None else ["--isa", chosen.isa]
    words += [] if chosen.precision is Precision.FP32 else ["--precision", chosen.precision]
    words += ["--exact"] if chosen.exact else []
    words += [] if chosen.profile is None else ["--profile", str(chosen.profile)]
    for name, shape in (chosen.shapes or {}).items():
        words += ["--shape", f"{name}={','.join(map(str, shape))}"]
    return shlex.join(words)


def _task(network: Network, model: Path, cores: int, precision: Precision = Precision.FP32) -> Task:
    inputs = tuple(ArrayPort(port.name, port.array_shape) for port in network.graph.inputs)
    outputs = tuple(ArrayPort(port.name, port.array_shape) for port in network.graph.outputs)
    return Task(model, model, inputs, outputs, cores, precision)


def _arrays(file: Path) -> tuple[Array, ...]:
    """What a worker wrote, in order."""
    with np.load(file) as stored:
        return tuple(stored[f"arr_{index}"] for index in range(len(stored.files)))
