"""From a model to a folder for another machine: planned and built here, run there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlfusion.cost.profile import Profile
from dlfusion.driver.compiling import ProgressCallback, generate_and_build
from dlfusion.driver.planning import (
    AnyStrategy,
    Model,
    PathLike,
    check_plan,
    choose,
    default_strategy,
    import_model,
    problem,
    read_plan,
)
from dlfusion.errors import InputError
from dlfusion.layers.layer import Network
from dlfusion.machine.architecture import host_architecture
from dlfusion.plans.plan import Plan
from dlfusion.runtime.cache import Cache
from dlfusion.targets.cpu.foreign import ForeignCpu
from dlfusion.targets.cpu.isa import Isa, choose_isa, is_foreign
from dlfusion.targets.cpu.precision import Precision, choose_precision


@dataclass(frozen=True)
class BuiltModel:
    """A compiled model that this machine cannot load: the folder, and what was built into it."""

    folder: Path
    plan: Plan
    network: Network
    isa: Isa
    precision: Precision
    build_seconds: float


def cross_compile(
    path_or_model: Model,
    folder: PathLike,
    isa: str,
    *,
    strategy: AnyStrategy | None = None,
    cores: int | None = None,
    plan: Plan | PathLike | None = None,
    profile: Profile | PathLike | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    exact: bool = False,
    precision: str = Precision.FP32,
    cache: Cache | None = None,
    progress: ProgressCallback | None = None,
) -> BuiltModel:
    """Compiles an ONNX model for CPUs of another architecture, with clang of the `ziglang` package.

    Args:
        path_or_model: a path, an `onnx.ModelProto`, an `onnx_ir.Model`, or a `Network` from `import_model`.
        folder: where to write the artefact, which `load` takes on a machine of that architecture.
        isa: the instruction set, such as `neon` on x86.
        strategy: how the plan is made, if `plan` is not given (default: `dlfusion` with a profile, `dp` without): one
            that predicts, since nothing can be measured here.
        cores: how many cores the machine has (default: as many as this process may use).
        plan: a `Plan`, or the path of a plan's JSON file.
        profile: what characterizing that machine learned (default: nothing is known of it).
        shapes: the shapes of inputs that the model leaves open, by name.
        exact: compute every layer directly, none in tiles by Winograd's algorithms, which round more.
        precision: `fp32`, or `bf16`, which rounds weights to bfloat16 where that makes a layer faster.
        cache: where compiled objects are kept (default: the user's cache folder).
        progress: called as the stages go on.

    Raises:
        InputError: this machine has the instruction set, or the strategy measures.
        DlfusionError: another of its kinds; the message says what failed, where, and what to do.
    """
    chosen, storage = choose_isa(isa), choose_precision(precision)
    if not is_foreign(chosen):
        raise InputError(f"{isa} is an instruction set of {host_architecture()}, as this machine is: use `compile`")
    report = progress or (lambda stage, done, total: None)
    if not isinstance(path_or_model, Network):
        report("import", 0, 1)
    network = import_model(path_or_model, shapes)
    report("plan", 0, 1)
    target = ForeignCpu.unknown(chosen, cores, cache)
    if plan is None:
        task = problem(network, target, cores, profile, exact=exact)
        plan = choose(task, target, strategy or default_strategy(task, target), progress=report)
    elif isinstance(plan, Plan):
        check_plan(network, plan, target, exact=exact)
    else:
        plan = read_plan(network, plan, target, exact=exact)
    place, seconds = generate_and_build(network, plan, chosen, storage, folder, cache, report)
    return BuiltModel(place, plan, network, chosen, storage, seconds)
