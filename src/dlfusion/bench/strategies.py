"""Comparing strategies on one target: every plan made and its search timed, then all plans measured in turns."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from dlfusion import driver
from dlfusion.cost.model import plan_seconds
from dlfusion.cost.profile import Profile
from dlfusion.driver.planning import AnyStrategy, Model, PathLike, as_target
from dlfusion.errors import InputError
from dlfusion.layers.layer import Network
from dlfusion.machine import Accelerator
from dlfusion.plans import legality
from dlfusion.plans.plan import Plan
from dlfusion.report.strategies import (
    ORACLE,
    Comparison,
    ModelComparison,
    OracleStatistics,
    Shares,
    StrategyResult,
    base_name,
    choices,
)
from dlfusion.runtime.measure import Setting
from dlfusion.search import find_strategy
from dlfusion.search.choices import brute_force_count
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import MeasuringStrategy, Strategy, is_measuring
from dlfusion.targets.simulated.simulator import simulate
from dlfusion.targets.target import Target
from dlfusion.tuning.session import Outcome, Session
from dlfusion.tuning.store import Store

STRATEGIES = (
    *("baseline", "all-cores", "layer-cores", "fuse-all", "fixed-block"),
    *("dlfusion", "dp", "tuned", "oracle"),
)
"""All strategies of the design's table, in its order."""

DEFAULT_PLAN_SECONDS = 1.0
"""Each plan runs about this long in the final measurement."""

_MOST_REPEATS = 7
_REPEAT_SECONDS = 1.0
"""A search that takes less is repeated, on a fresh problem, up to `_MOST_REPEATS` times; the median counts."""


@dataclass(frozen=True)
class Options:
    """How to compare; the same for all models.

    `strategies` are pairs of name and strategy. `budget_seconds` is for strategies that keep a budget, the oracle takes
    what it needs. Each plan runs `plan_seconds` in the final measurement (once on a simulated target).
    """

    strategies: tuple[tuple[str, Strategy | MeasuringStrategy], ...]
    budget_seconds: float | None = None
    plan_seconds: float = DEFAULT_PLAN_SECONDS


class SearchTimes:
    """How long each brute force took over all the runs that it needed, kept in the database beside its measurements."""

    def __init__(self, store: Store, setting: Setting) -> None:
        self._store = store
        self._setting = setting

    def total(self, search: str) -> float:
        """Seconds of all runs so far."""
        return sum(self._store.find(self._setting, search) or ())

    def add(self, search: str, seconds: float) -> None:
        """Remember one more run."""
        self._store.add(self._setting, search, search, (seconds,))


class Stages:
    """Tells the caller what is under way, with a title before it that changes as the comparison goes on."""

    def __init__(self, progress: driver.ProgressCallback | None = None) -> None:
        self.title = ""
        self._progress = progress

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(f"{self.title}: {stage}", done, total)


def compare(
    models: Model | Sequence[Model] | Mapping[str, Model],
    target: Target | PathLike = "cpu",
    *,
    strategies: Sequence[AnyStrategy] | None = None,
    cores: int | None = None,
    profile: Profile | PathLike | None = None,
    budget_seconds: float | None = None,
    oracle_depth: int | None = None,
    plan_seconds: float = DEFAULT_PLAN_SECONDS,
    database: PathLike | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    exact: bool = False,
    progress: driver.ProgressCallback | None = None,
    finished: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Runs strategies on models for one target, and measures all plans of a model against each other in one run.

    Every measurement goes into the database as it happens: an interrupted run continues where it stopped.

    Args:
        models: one model or several, or a mapping from names to models; each is what `dlfusion.plan` takes.
        target: `cpu`, the name of a shipped machine file such as `mlu100`, the path of a machine file, or a `Target`.
        strategies: names, files or objects, as `dlfusion.plan` takes them (default: all of `STRATEGIES`).
        cores: the most cores that a block may use (default: all that the target has).
        profile: what characterizing the target learned (default: the user's, else the one that ships).
        budget_seconds: how long `tuned` may measure; the oracle takes what it needs.
        oracle_depth: the longest block that the oracle tries (default: its own).
        plan_seconds: how long each plan runs in the final measurement.
        database: where measurements are kept (default: a file in the user's cache folder).
        shapes: the shapes of inputs that the models leave open, by name.
        exact: compute every layer directly, none in tiles by Winograd's algorithms, which round more.
        progress: called with a stage's name, the steps done and the steps in all.
        finished: called with the comparison so far whenever a model is finished.

    Raises:
        InputError: no model or no strategy is given, or the target is unknown.
        PlanError: a strategy is unknown, or makes an illegal plan.
        DlfusionError: a model cannot be read, or measuring failed.
    """
    named = named_models(models)
    chosen = Options(named_strategies(strategies, oracle_depth), budget_seconds, plan_seconds)
    device = as_target(target)
    stages = Stages(progress)
    found = Comparison(device.name, device.simulated, device.machine.fingerprint, "", (), exact)
    path = None if database is None else Path(database)
    with Store(path) as store, Session(device, store, progress=stages) as session:
        times = SearchTimes(store, device.setting)
        for name, model in named.items():
            stages.title = name
            stages("import", 0, 1)
            network = driver.import_model(model, shapes)
            task = driver.problem(network, device, cores, profile, exact=exact)
            model_found = compare_model(name, task, device, session, chosen, stages, times)
            found = replace(found, cost_model=task.cost.name, models=(*found.models, model_found))
            if finished is not None:
                finished(found)
    return found


def compare_model(
    name: str,
    task: Problem,
    target: Target,
    session: Session,
    chosen: Options,
    stages: driver.ProgressCallback,
    times: SearchTimes,
) -> ModelComparison:
    """All strategies on one model.

    Raises:
        PlanError: a strategy makes an illegal plan.
    """
    outcomes: dict[str, Outcome] = {}
    for strategy_name, strategy in _order(chosen.strategies, target):
        stages(strategy_name, 0, 1)
        outcome = _search(strategy_name, strategy, task, target, session, chosen.budget_seconds, times)
        legality.check(task.network, outcome.plan, task.limits)
        outcomes[strategy_name] = outcome
        stages(strategy_name, 1, 1)
    made = [(strategy_name, outcomes[strategy_name]) for strategy_name, _ in chosen.strategies]
    samples = _samples(task.network, [outcome.plan for _, outcome in made], session, chosen.plan_seconds, stages)
    results = tuple(
        StrategyResult(
            model=name,
            target=target.name,
            simulated=target.simulated,
            cores=task.most_cores,
            strategy=strategy_name,
            plan=outcome.plan,
            samples=taken,
            search_seconds=outcome.wall_seconds,
            measured=outcome.measured,
            reused=outcome.reused,
            predicted_seconds=plan_seconds(task.network, outcome.plan, task.cost),
            shares=_shares(task.network, outcome.plan, target),
        )
        for (strategy_name, outcome), taken in zip(made, samples, strict=True)
    )
    found = next((outcome for strategy_name, outcome in made if base_name(strategy_name) == ORACLE), None)
    oracle = None
    if found is not None:
        depth = found.plan.strategy.partition(":")[2]
        longest = int(depth) if depth.isdecimal() else max(len(block.layers) for block in found.plan.blocks)
        measurements = found.measured + found.reused
        oracle = OracleStatistics(longest, measurements, brute_force_count(task), found.wall_seconds)
    return ModelComparison(name, len(task.network.layers), results, oracle)


def _order(
    strategies: Sequence[tuple[str, Strategy | MeasuringStrategy]], target: Target
) -> list[tuple[str, Strategy | MeasuringStrategy]]:
    """The order of the searches: what one measures, later ones find in the database.

    On a device the oracle is last, so that the budget of `tuned` buys its own measurements. On a simulated target,
    where measuring costs next to nothing, it is the first that measures, so that its time is that of a search alone.
    """

    def place(entry: tuple[str, Strategy | MeasuringStrategy]) -> int:
        name, strategy = entry
        if not is_measuring(strategy):
            return 0
        return 1 if (base_name(name) == ORACLE) == target.simulated else 2

    return sorted(strategies, key=place)


def named_models(models: Model | Sequence[Model] | Mapping[str, Model]) -> dict[str, Model]:
    """Models by name: a file's name without its ending, a network's own name; equal names are numbered.

    Raises:
        InputError: there is no model.
    """
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        for model in models if isinstance(models, list | tuple) else (models,):
            name = _model_name(model)
            copies = sum(1 for other in named if other.partition(" (")[0] == name)
            named[name if not copies else f"{name} ({copies + 1})"] = model
    if not named:
        raise InputError("a comparison needs at least one model; name an ONNX file")
    return named


def _model_name(model: Model) -> str:
    if isinstance(model, str | os.PathLike):
        return Path(model).stem
    graph = getattr(model, "graph", None)
    return str(getattr(graph, "name", None) or "model")


def named_strategies(
    strategies: Sequence[AnyStrategy] | None, oracle_depth: int | None = None
) -> tuple[tuple[str, Strategy | MeasuringStrategy], ...]:
    """Each strategy with the name that the table shows, in order.

    Raises:
        InputError: there is none, or one is named twice.
        PlanError: a name is unknown, or its argument is of no use.
    """
    wanted = STRATEGIES if strategies is None else tuple(strategies)
    named: dict[str, Strategy | MeasuringStrategy] = {}
    for strategy in wanted:
        if isinstance(strategy, str):
            text = f"{ORACLE}:{oracle_depth}" if strategy == ORACLE and oracle_depth is not None else strategy
            name, found = Path(text).name if text.endswith(".py") else text, find_strategy(text)
        else:
            name, found = type(strategy).__name__, find_strategy(strategy)
        if name in named:
            raise InputError(f"the strategy {name} is named twice; name each once")
        named[name] = found
    if not named:
        raise InputError(f"a comparison needs at least one strategy: {', '.join(STRATEGIES)}")
    return tuple(named.items())


def _search(
    name: str,
    strategy: Strategy | MeasuringStrategy,
    task: Problem,
    target: Target,
    session: Session,
    budget_seconds: float | None,
    times: SearchTimes,
) -> Outcome:
    if not is_measuring(strategy):
        return _timed_plan(cast("Strategy", strategy), task)
    if base_name(name) == ORACLE:
        return _brute_force(name, strategy, task, target, session, times)
    seconds = strategy.default_budget_seconds if budget_seconds is None else budget_seconds
    return session.run(strategy, task, seconds)


def _brute_force(
    name: str, strategy: MeasuringStrategy, task: Problem, target: Target, session: Session, times: SearchTimes
) -> Outcome:
    """The oracle's outcome; its time is that of all runs that it needed, so that continuing one does not shorten it."""
    search = f"time of {name} on {task.network.graph.digest}, up to {task.most_cores} cores"
    if task.algorithms != target.algorithms:  # fewer algorithms, a shorter search
        search += f", by {', '.join(task.algorithms)}"
    start = time.monotonic()
    try:
        outcome = session.run(strategy, task, None)
    except BaseException:  # also Ctrl-C: the next run goes on from here
        times.add(search, time.monotonic() - start)
        raise
    earlier = times.total(search)
    if outcome.measured or not earlier:
        times.add(search, outcome.wall_seconds)
        return replace(outcome, wall_seconds=earlier + outcome.wall_seconds)
    return replace(outcome, wall_seconds=max(earlier, outcome.wall_seconds))


def _timed_plan(strategy: Strategy, task: Problem) -> Outcome:
    """The strategy's plan, and the median time of making it.

    Every repeat gets a network and a problem of its own, so that nothing that one remembered speeds up the next.
    """
    seconds: list[float] = []
    while True:
        fresh = replace(task, network=replace(task.network))
        start = time.perf_counter()
        plan = strategy.plan(fresh)
        seconds.append(time.perf_counter() - start)
        if len(seconds) == _MOST_REPEATS or sum(seconds) > _REPEAT_SECONDS:
            return Outcome(plan, statistics.median(seconds), 0, 0, 0)


def _samples(
    network: Network, plans: Sequence[Plan], session: Session, seconds: float, stages: driver.ProgressCallback
) -> tuple[tuple[float, ...], ...]:
    """The samples of each plan, all from one run; plans of equal blocks are run once and share their samples."""
    distinct = {choices(plan): plan for plan in reversed(plans)}
    stages("plans in turns", 0, 1)
    measured = session.time_plans(network, tuple(distinct.values()), seconds)
    stages("plans in turns", 1, 1)
    by_choice = {key: entry.samples for key, entry in zip(distinct, measured, strict=True)}
    return tuple(by_choice[choices(plan)] for plan in plans)


def _shares(network: Network, plan: Plan, target: Target) -> Shares | None:
    """What a simulated plan's time goes to; None for a target that is no simulated accelerator."""
    machine = target.machine
    if not target.simulated or not isinstance(machine, Accelerator):
        return None
    runs = [simulate(network, block, machine) for block in plan.blocks]
    total = sum(run.seconds for run in runs)
    starts = sum(run.start_seconds for run in runs)
    arithmetic = sum(max(run.core_busy_seconds) for run in runs)
    memory = sum(max(run.channel_busy_seconds) for run in runs)
    return Shares(starts / total, arithmetic / total, memory / total)
