"""From a model to a plan: import, what is known of the target, strategies with and without measuring."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from platformdirs import user_data_path

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.fitted import Fitted
from dlfusion.cost.profile import Profile, shipped_profiles
from dlfusion.errors import InputError, PlanError, PlanWarning
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.passes import clean
from dlfusion.plans import legality
from dlfusion.plans.plan import Plan
from dlfusion.search import find_strategy
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import MeasuringStrategy, Strategy, is_measuring
from dlfusion.targets import find_target
from dlfusion.targets.cpu.foreign import ForeignCpu
from dlfusion.targets.target import Target
from dlfusion.tuning.session import Outcome, Session
from dlfusion.tuning.store import Store

DEFAULT_STRATEGY = "dlfusion"

STRATEGY_WITHOUT_PROFILE = "dp"
"""The default for a CPU elsewhere that nobody has characterized: it needs predictions alone."""

Model: TypeAlias = (
    Any  # a path, an onnx.ModelProto, an onnx_ir.Model or a Network; only the frontend knows ONNX's types
)
AnyStrategy: TypeAlias = str | Strategy | MeasuringStrategy
PathLike: TypeAlias = str | os.PathLike[str]
SearchProgress = Callable[[str, int, int], None]


def import_model(path_or_model: Model, shapes: Mapping[str, Sequence[int]] | None = None) -> Network:
    """Reads an ONNX model, cleans it up and cuts it into layers; a `Network` stays what it is.

    Args:
        path_or_model: a path, an `onnx.ModelProto`, an `onnx_ir.Model`, or a `Network` from an earlier call.
        shapes: the shapes of inputs that the model leaves open, by name.

    Raises:
        ModelError: the file cannot be read, or a shape is open.
        UnsupportedError: operators or attributes are not supported; lists every such node.
    """
    if isinstance(path_or_model, Network):
        return path_or_model
    # Imported here because it takes up to a second, and running a compiled model does not need it.
    from dlfusion.frontend import load as load_onnx

    fixed = {name: tuple(shape) for name, shape in shapes.items()} if shapes else None
    network = describe(clean(load_onnx(path_or_model, fixed)))
    _ = network.graph.digest  # hashes all weights; every plan needs it, so that it is part of importing
    return network


def plan(
    model: Model,
    target: Target | PathLike = "cpu",
    strategy: AnyStrategy = DEFAULT_STRATEGY,
    *,
    cores: int | None = None,
    profile: Profile | PathLike | None = None,
    budget_seconds: float | None = None,
    database: PathLike | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    exact: bool = False,
    progress: SearchProgress | None = None,
) -> Plan:
    """The plan that a strategy chooses for a model on a target.

    Args:
        model: what `import_model` takes.
        target: `cpu`, the name of a shipped machine file such as `mlu100`, the path of a machine file, or a `Target`.
        strategy: a name such as `dlfusion` or `fixed-block:3`, the path of a Python file with a strategy of your own,
            or an object with `plan(problem)` or `search(problem)`.
        cores: the most cores that a block may use (default: all that the target has).
        profile: what characterizing the target learned (default: the user's, else the one that ships).
        budget_seconds: how long a strategy that measures may measure (default: `tuned` a minute, `oracle` no limit).
        database: where measurements are kept (default: a file in the user's cache folder).
        shapes: the shapes of inputs that the model leaves open, by name.
        exact: compute every layer directly, none in tiles by Winograd's algorithms, which round more and spread NaN.
        progress: called with a stage's name, the steps done and the steps in all.

    Raises:
        DlfusionError: one of its kinds; the message says what failed, where, and what to do.
    """
    device = as_target(target)
    task = problem(import_model(model, shapes), device, cores, profile, exact=exact)
    return choose(task, device, strategy, budget_seconds=budget_seconds, database=database, progress=progress)


def choose(
    task: Problem,
    target: Target,
    strategy: AnyStrategy = DEFAULT_STRATEGY,
    *,
    budget_seconds: float | None = None,
    database: PathLike | None = None,
    progress: SearchProgress | None = None,
) -> Plan:
    """The plan that a strategy chooses for a problem on a target; the arguments are those of `plan`."""
    chosen = find_strategy(strategy)
    if is_measuring(chosen):
        return search(task, target, chosen, budget_seconds, database, progress).plan
    result = cast(Strategy, chosen).plan(task)
    legality.check(task.network, result, task.limits)
    return result


def tune(
    model: Model,
    target: Target | PathLike = "cpu",
    *,
    strategy: AnyStrategy = "tuned",
    cores: int | None = None,
    profile: Profile | PathLike | None = None,
    budget_seconds: float | None = None,
    database: PathLike | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    exact: bool = False,
    progress: SearchProgress | None = None,
) -> Outcome:
    """The best plan that measuring on the target finds within a time, and how many measurements that took.

    The arguments are those of `plan`; `strategy` must be one that measures (`tuned`, `oracle`, or one of your own).

    Raises:
        DlfusionError: one of its kinds; the message says what failed, where, and what to do.
    """
    network = import_model(model, shapes)
    device = as_target(target)
    chosen = find_strategy(strategy)
    if not is_measuring(chosen):
        raise PlanError(f"The strategy `{strategy}` does not measure, so there is nothing to tune; use `plan` for it.")
    task = problem(network, device, cores, profile, exact=exact)
    return search(task, device, chosen, budget_seconds, database, progress)


def search(
    task: Problem,
    target: Target,
    strategy: MeasuringStrategy,
    budget_seconds: float | None,
    database: PathLike | None,
    progress: SearchProgress | None = None,
) -> Outcome:
    """The result of a strategy that measures, each measurement kept in the database as it happens."""
    seconds = strategy.default_budget_seconds if budget_seconds is None else budget_seconds
    with Store(None if database is None else Path(database)) as store, Session(target, store, progress) as session:
        outcome = session.run(strategy, task, seconds)
    legality.check(task.network, outcome.plan, task.limits)
    return outcome


def problem(
    network: Network,
    target: Target | PathLike = "cpu",
    cores: int | None = None,
    profile: Profile | PathLike | None = None,
    *,
    exact: bool = False,
) -> Problem:
    """What a strategy is given for a network on a target; the arguments are those of `plan`.

    Raises:
        PlanError: `cores` is less than the target's smallest core count, or more than its largest.
    """
    device = as_target(target)
    if isinstance(device, ForeignCpu) and cores is not None and cores > 0:
        device = device.with_cores(cores)  # the user knows how many it has
    known = find_profile(device, profile)
    if known is not None:
        device = _described(device, known.machine)
    counts = device.machine.core_counts
    allowed = counts if cores is None else tuple(count for count in counts if count <= cores)
    if cores is not None and not counts[0] <= cores <= counts[-1]:
        raise PlanError(f"{cores} cores are asked for, but {device.name} runs blocks on {counts[0]} to {counts[-1]}.")
    cost = Analytic(device.machine) if known is None else Fitted(device.machine, known.cost)
    return Problem(network, device.machine, allowed, cost, known, offered(device, exact))


def default_strategy(task: Problem, target: Target) -> str:
    """`dlfusion`; for a CPU elsewhere of which there is no profile `dp`."""
    unknown = isinstance(target, ForeignCpu) and task.profile is None
    return STRATEGY_WITHOUT_PROFILE if unknown else DEFAULT_STRATEGY


def _described(target: Target, fingerprint: str) -> Target:
    """The target; of a CPU elsewhere, of which little is known, the one that a profile or plan was made on."""
    return target.described(fingerprint) if isinstance(target, ForeignCpu) else target


def offered(target: Target, exact: bool) -> tuple[str, ...]:
    """The algorithms that a plan for the target may name; if it shall be `exact`, the direct one."""
    return (Algorithm.DIRECT,) if exact else target.algorithms


def as_target(target: Target | PathLike) -> Target:
    """The target that a name or path means; a target stays what it is."""
    return find_target(os.fspath(target)) if isinstance(target, str | os.PathLike) else target


def profile_path(target: Target) -> Path:
    """Where `characterize` keeps the profile of a target unless told otherwise."""
    return user_data_path("dlfusion", appauthor=False) / "profiles" / f"{target.name}.json"


def find_profile(target: Target, profile: Profile | PathLike | None = None) -> Profile | None:
    """What is known of a target: `profile`, else the user's own, else the one that ships, else None.

    If it was measured on another machine, with another compiler or another kernel library, a `PlanWarning` names the
    difference.

    Raises:
        InputError: the file cannot be read.
        PlanError: the file is no profile.
    """
    if isinstance(profile, Profile):
        found, where = profile, "The profile"
    else:
        path = _profile_file(target, profile)
        if path is None:
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the profile {path}: {error}") from error
        found, where = Profile.from_json(text), f"The profile {path.name}"
    setting = _described(target, found.machine).setting
    message = found.machine_warning(setting.machine, setting.compiler, setting.library)
    if message is not None:
        advice = f"`dlfusion characterize --target {target.name}` measures this one."
        if isinstance(target, ForeignCpu):
            advice = "`dlfusion characterize` on the machine that will run the model measures that one."
        warnings.warn(f"{where}: {message} {advice}", PlanWarning, stacklevel=3)
    return found


def _profile_file(target: Target, given: PathLike | None) -> Path | None:
    if given is not None:
        return Path(given)
    own = profile_path(target)
    return own if own.is_file() else shipped_profiles().get(target.name)


def read_plan(network: Network, path: PathLike, target: Target | PathLike = "cpu", *, exact: bool = False) -> Plan:
    """A plan from a JSON file, for a target.

    If it was made on another machine, a `PlanWarning` names the difference.

    Raises:
        PlanError: the file cannot be read or is malformed, was made for another graph, is illegal for this one, or
            names algorithms that the target lacks, or any although the results shall be `exact`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot read the plan {path}: {error}") from error
    found = Plan.from_json(text)
    device = _described(as_target(target), found.machine)
    check_plan(network, found, device, exact=exact)
    message = found.machine_warning(device.machine.fingerprint)
    if message is not None:
        warnings.warn(f"{path}: {message}", PlanWarning, stacklevel=2)
    return found


def check_plan(network: Network, plan: Plan, target: Target | PathLike = "cpu", *, exact: bool = False) -> None:
    """Nothing, if the plan can be run on the target; a CPU's core counts are not asked, for it may be another's plan.

    Raises:
        PlanError: it cannot, or names algorithms although the results shall be `exact`.
    """
    device = as_target(target)
    algorithms = offered(device, exact)
    if device.machine.buffer_is_memory:
        legality.check(network, plan, legality.machine_limits(device.machine, algorithms))
    else:
        legality.check(network, plan, legality.Limits(algorithms=algorithms))
