"""From a model and a plan to a compiled model that is called with NumPy arrays and checked against the reference."""

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from dlfusion.driver import planning
from dlfusion.driver.planning import (
    DEFAULT_STRATEGY,
    AnyStrategy,
    Model,
    PathLike,
    check_plan,
    import_model,
    read_plan,
)
from dlfusion.errors import InputError, VerificationError
from dlfusion.graph.graph import Array, Port
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Plan
from dlfusion.runtime.build import build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.check import BF16_TOLERANCE, TOLERANCE, Verdict, compare
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.memory import require_available
from dlfusion.runtime.reference import evaluate, evaluate_all
from dlfusion.targets.cpu.isa import Isa, choose_isa, require_native
from dlfusion.targets.cpu.measuring import CpuTarget
from dlfusion.targets.cpu.precision import Precision, choose_precision
from dlfusion.targets.cpu.target import generate

_RANDOM_BYTES = 12
"""For each random number: it is drawn in double precision, then rounded."""

ProgressCallback = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""


class CompiledModel:
    """A compiled model: call it with NumPy arrays, save it, or ask for its plan.

    `network` is None for a model that was loaded from a folder. The object owns its folder if it is a temporary one.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        network: Network | None = None,
        build_seconds: float = 0.0,
        *,
        temporary: bool = False,
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.network = network
        self.build_seconds = build_seconds
        try:
            self._executable = Executable.load(folder, temporary=temporary)
        except BaseException:
            if temporary:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def __call__(self, *inputs: Array) -> Array | tuple[Array, ...]:
        """The model's output (a tuple if there are several) for arrays in the order of its inputs.

        Raises:
            InputError: number, shape or type of the arrays does not fit.
        """
        outputs = self._executable(*inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def executable(self) -> Executable:
        """The loaded program, for measuring and inspecting."""
        return self._executable

    @property
    def precision(self) -> str:
        """How the program stores weights: `fp32` or `bf16`."""
        return str(self._executable.description.get("precision", Precision.FP32))

    @property
    def isa(self) -> str | None:
        """The instruction set that it was compiled for, such as `avx512`."""
        found = self._executable.description.get("isa")
        return None if found is None else str(found)

    @property
    def tolerance(self) -> float:
        """How far its outputs may be from the fp32 reference, as a share of their scale."""
        return BF16_TOLERANCE if self.precision == Precision.BF16 else TOLERANCE

    def outputs(self, *inputs: Array) -> tuple[Array, ...]:
        """All outputs, always as a tuple."""
        return self._executable(*inputs)

    def profile(self, *inputs: Array) -> tuple[float, ...]:
        """Seconds that each block of the plan takes in one run."""
        return self._executable.profile(*inputs)[: len(self.plan.blocks)]

    def save(self, folder: PathLike) -> Path:
        """Copies the artefact to `folder`: a shared library with a C interface, its sources, weights and plan."""
        self._executable.save(Path(folder))
        return Path(folder)

    def close(self) -> None:
        """Frees the program's memory and threads."""
        self._executable.close()

    def __enter__(self) -> "CompiledModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def compile(  # noqa: A001 - the API's name for it
    path_or_model: Model,
    *,
    strategy: AnyStrategy = DEFAULT_STRATEGY,
    cores: int | None = None,
    plan: Plan | PathLike | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    isa: str | None = None,
    exact: bool = False,
    precision: str = Precision.FP32,
    folder: PathLike | None = None,
    cache: Cache | None = None,
    progress: ProgressCallback | None = None,
) -> CompiledModel:
    """Compiles an ONNX model for this machine's CPU; `cross_compile` does it for others.

    Args:
        path_or_model: a path, an `onnx.ModelProto`, an `onnx_ir.Model`, or a `Network` from `import_model`.
        strategy: how the plan is made, if `plan` is not given.
        cores: the most cores that a strategy may use (default: all that this process may use).
        plan: a `Plan`, such as `dlfusion.plan` or `dlfusion.tune` makes, or the path of a plan's JSON file.
        shapes: the shapes of inputs that the model leaves open, by name.
        isa: the instruction set, `avx512`, `avx2` or `avx512_bf16` (default: the best of this CPU for the precision).
        exact: compute every layer directly, none in tiles by Winograd's algorithms, which round more and spread NaN.
        precision: `fp32`, or `bf16`, which rounds weights to bfloat16 where that makes a layer faster, by up to 2^-8 of
            themselves, and with `avx512_bf16` the inputs that they multiply. Sums are fp32 in both.
        folder: where to write the artefact (default: a temporary folder that lives as long as the result).
        cache: where compiled objects are kept (default: the user's cache folder).
        progress: called as the stages go on.

    Raises:
        DlfusionError: one of its kinds; the message says what failed, where, and what to do.
    """
    storage = choose_precision(precision)
    chosen = choose_isa(isa, storage)
    require_native(chosen)
    report = progress or (lambda stage, done, total: None)
    if not isinstance(path_or_model, Network):
        report("import", 0, 1)
    network = import_model(path_or_model, shapes)
    report("plan", 0, 1)
    if plan is None:
        target = CpuTarget(isa, cache, storage)
        plan = planning.plan(network, target, strategy, cores=cores, exact=exact, progress=report)
    elif isinstance(plan, Plan):
        check_plan(network, plan, exact=exact)
    else:
        plan = read_plan(network, plan, exact=exact)
    place, seconds = generate_and_build(network, plan, chosen, storage, folder, cache, report)
    return CompiledModel(place, plan, network, seconds, temporary=folder is None)


def generate_and_build(
    network: Network,
    plan: Plan,
    isa: Isa,
    precision: Precision,
    folder: PathLike | None,
    cache: Cache | None,
    progress: ProgressCallback,
) -> tuple[Path, float]:
    """The artefact's folder, and the seconds that compilers took; the arguments are those of `compile`."""
    progress("generate", 0, 1)
    program = generate(network, plan, isa, precision=precision)
    progress("build", 0, 1)
    start = time.perf_counter()
    place = build(
        program,
        None if folder is None else Path(folder),
        cache=cache,
        progress=lambda state: progress("build", state.done, state.total),
    )
    return place, time.perf_counter() - start


def load(folder: PathLike) -> CompiledModel:
    """Loads an artefact that `CompiledModel.save` or `dlfusion compile -o` wrote.

    Raises:
        InputError: the folder is no artefact.
        PlanError: its plan is damaged.
        BuildError: other files of it are missing or damaged, or it was compiled for other CPUs than this one.
    """
    path = Path(folder)
    try:
        text = (path / "plan.json").read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} is no compiled model: {error}. Make one with `dlfusion compile MODEL -o {path}`."
        ) from error
    return CompiledModel(path, Plan.from_json(text))


def random_inputs(network: Network, seed: int = 0) -> tuple[Array, ...]:
    """Normally distributed arrays that fit the model's inputs.

    Raises:
        InputError: there is too little memory for them.
    """
    elements = sum(math.prod(port.array_shape) for port in network.graph.inputs)
    require_available(elements * _RANDOM_BYTES, f"making random inputs for {network.graph.name}")
    generator = np.random.default_rng(seed)
    return tuple(generator.standard_normal(port.array_shape).astype(np.float32) for port in network.graph.inputs)


@dataclass(frozen=True)
class Difference:
    """The first layer, in running order, whose result differs from the reference."""

    layer: str
    verdict: Verdict


def verify(
    compiled: CompiledModel, inputs: Sequence[Array] | None = None, expected: Sequence[Array] | None = None
) -> Verdict:
    """Compares the program's outputs with a reference.

    Args:
        compiled: a model that was compiled in this process.
        inputs: the arrays to run it on (default: `random_inputs`).
        expected: the reference outputs (default: computed with NumPy).

    Raises:
        VerificationError: the outputs differ; the message names the first layer that does.
    """
    network = compiled.network
    if network is None:
        raise InputError("only a model compiled in this process can be verified: a loaded one carries no graph")
    inputs = random_inputs(network) if inputs is None else inputs
    expected = evaluate(network.graph, inputs) if expected is None else expected
    verdict = compare(compiled.outputs(*inputs), expected, compiled.tolerance)
    if not verdict.passed:
        first = first_difference(network, compiled.plan, inputs, compiled.precision, compiled.isa)
        where = f"first different in layer {first.layer}: {first.verdict}" if first else "no single layer differs"
        raise VerificationError(
            f"{network.graph.name}: the compiled program's output differs from the reference: {verdict}; {where}"
        )
    return verdict


def first_difference(
    network: Network,
    plan: Plan,
    inputs: Sequence[Array],
    precision: str = Precision.FP32,
    isa: str | None = None,
) -> Difference | None:
    """Runs the plan with every layer's result as an output, and finds the first that differs from the reference.

    `precision` and `isa` are those of the program that differs: others have other kernels.
    """
    graph = network.graph
    ports = tuple(Port(layer.name, layer.output, graph.shapes[layer.output]) for layer in network.layers)
    watched = replace(network, graph=replace(graph, outputs=ports))
    watched_plan = replace(plan, graph_digest=watched.graph.digest)
    with compile(watched, plan=watched_plan, precision=precision, isa=isa) as compiled:
        tolerance = compiled.tolerance
        results = dict(zip((port.value for port in ports), compiled.outputs(*inputs), strict=True))
    expected = {value: array for value, array in evaluate_all(graph, inputs) if value in results}
    for layer in network.layers:
        verdict = compare([results[layer.output]], [expected[layer.output]], tolerance)
        if not verdict.passed:
            return Difference(layer.name, verdict)
    return None
