"""The paper's evaluation: its five models on one target after the other, and what the assumed numbers change."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dlfusion import driver, zoo
from dlfusion.bench.strategies import STRATEGIES, compare
from dlfusion.cost.accuracy import block_accuracy
from dlfusion.cost.profile import Profile
from dlfusion.driver.planning import PathLike, as_target
from dlfusion.errors import InputError
from dlfusion.layers.layer import Network
from dlfusion.machine import Accelerator
from dlfusion.machine.files import scalable, scaled
from dlfusion.report.reproduction import AccuracyRow, Reproduction, Sensitivity, SensitivityRow, TargetPart
from dlfusion.report.strategies import Comparison, ModelComparison
from dlfusion.runtime.scratch import scratch_folder
from dlfusion.targets.simulated.target import SimulatedTarget
from dlfusion.targets.target import Target
from dlfusion.tuning.session import Session
from dlfusion.tuning.store import Store

MODELS = ("alexnet", "vgg19", "resnet18", "resnet50", "mobilenetv2")
"""The paper's models, at 224 x 224, batch 1."""

TARGETS = ("mlu100", "cpu")

FACTORS = (0.5, 2.0)
"""What each assumed number is multiplied with, one at a time."""

SENSITIVITY_GRID = "small"

_HOW = (
    "Each row changes one assumed number of the machine file, characterizes the changed machine anew with the "
    f"{SENSITIVITY_GRID} grid, and simulates the plans of `baseline`, `dlfusion` and `oracle` on it. The cells have "
    "the speed-up of `dlfusion` over `baseline` and, in brackets, its regret against the oracle of the changed machine."
)

Change = tuple[str, float]
"""An assumed number of a machine file, and what it is multiplied with."""

NO_CHANGE: Change = ("none changed", 1.0)

Result = tuple[str, float, float | None]
"""Model, speed-up of `dlfusion`, its regret: see `SensitivityRow`."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to evaluate, the same for all targets; names as in `bench.strategies.compare`.

    `sensitivity` says whether a simulated machine's assumed numbers are changed, one at a time; `exact`, whether every
    layer is computed directly.
    """

    strategies: Sequence[str] = STRATEGIES
    cores: int | None = None
    budget_seconds: float | None = None
    oracle_depth: int | None = None
    database: PathLike | None = None
    sensitivity: bool = True
    exact: bool = False


@dataclass
class _Running:
    """What has been found so far on one target."""

    target: Target
    profile: Profile
    models: list[ModelComparison] = field(default_factory=list)
    accuracy: list[AccuracyRow] = field(default_factory=list)
    results: dict[Change, tuple[Result, ...]] = field(default_factory=dict)
    profiles: dict[Change, Profile] = field(default_factory=dict)
    latest: Comparison | None = None

    def part(self) -> TargetPart | None:
        """The part of the page, None before the first model is finished."""
        if self.latest is None:
            return None
        comparison = replace(self.latest, models=tuple(self.models))
        rows = tuple(_row(self.target, change, results) for change, results in self.results.items())
        table = Sensitivity(_HOW, rows) if rows else None
        return TargetPart(comparison, tuple(self.accuracy), table)


def reproduce(
    targets: Sequence[Target | PathLike] = TARGETS,
    models: Sequence[str] = MODELS,
    chosen: Options | None = None,
    *,
    progress: driver.ProgressCallback | None = None,
    finished: Callable[[Reproduction], None] | None = None,
) -> Reproduction:
    """Compares all strategies on all models, one target after the other.

    Every measurement goes into the database as it happens: an interrupted run continues where it stopped. A target that
    nobody has characterized is characterized first.

    Args:
        targets: names, machine files or targets.
        models: names of `dlfusion.zoo`, or paths of ONNX files.
        chosen: how to evaluate (default: `Options()`).
        progress: called with a stage's name, the steps done and the steps in all.
        finished: called with all that is known so far whenever a model's comparison is finished, and again when its
            sensitivity is.

    Raises:
        InputError: a target or model is unknown.
        DlfusionError: a model cannot be read, or measuring failed.
    """
    chosen = Options() if chosen is None else chosen
    devices = [as_target(target) for target in targets]
    if not devices or not models:
        raise InputError("the evaluation needs at least one target and one model")
    for name in models:
        _check_model(name)
    done: list[TargetPart] = []
    for device in devices:
        running = _Running(device, _profile(device, chosen, progress))
        for name in models:
            for part in _one_model(running, name, chosen, progress):
                if finished is not None:
                    finished(Reproduction((*done, part)))
        whole = running.part()
        if whole is not None:
            done.append(whole)
    return Reproduction(tuple(done))


def _check_model(name: str) -> None:
    if name not in zoo.ALL_NAMES and not Path(name).is_file():
        raise InputError(f"there is no model `{name}`; choose from {', '.join(zoo.ALL_NAMES)}, or name an ONNX file")


def _profile(device: Target, chosen: Options, progress: driver.ProgressCallback | None) -> Profile:
    found = driver.find_profile(device)
    return driver.characterize(device, database=chosen.database, progress=progress) if found is None else found


def _one_model(
    running: _Running, name: str, chosen: Options, progress: driver.ProgressCallback | None
) -> Iterator[TargetPart]:
    """Adds one model; yields what there is with its comparison, then with its sensitivity.

    The model's weights are held only meanwhile.
    """
    network = driver.import_model(zoo.build(name) if name in zoo.ALL_NAMES else name)
    title = name if name in zoo.ALL_NAMES else Path(name).stem
    comparison = compare(
        {title: network},
        running.target,
        strategies=chosen.strategies,
        cores=chosen.cores,
        profile=running.profile,
        budget_seconds=chosen.budget_seconds,
        oracle_depth=chosen.oracle_depth,
        database=chosen.database,
        exact=chosen.exact,
        progress=_prefixed(running.target.name, progress),
    )
    running.latest = comparison
    running.models += comparison.models
    running.accuracy.append(_accuracy(running, network, comparison.models[0], chosen))
    part = running.part()
    if part is not None:
        yield part
    if not chosen.sensitivity:
        return
    found = {
        change: _on_changed(running, change, target, title, network, chosen, progress)
        for change, target in _changed(running.target)
    }
    for change, results in found.items():
        running.results[change] = (*running.results.get(change, ()), *results)
    part = running.part()
    if found and part is not None:
        yield part


def _accuracy(running: _Running, network: Network, found: ModelComparison, chosen: Options) -> AccuracyRow:
    """The problem's cost model against the times of the blocks of all plans."""
    task = driver.problem(network, running.target, chosen.cores, running.profile, exact=chosen.exact)
    blocks = tuple(dict.fromkeys(block for result in found.results for block in result.choices))
    path = None if chosen.database is None else Path(chosen.database)
    with Store(path) as store, Session(running.target, store) as session:
        seconds = session.time_blocks(network, blocks)
    judged = block_accuracy(task.cost, [(network, block, taken) for block, taken in zip(blocks, seconds, strict=True)])
    return AccuracyRow(
        found.model,
        judged.model,
        len(blocks),
        judged.median_relative_error,
        judged.worst_relative_error,
        judged.rank_correlation,
    )


def _changed(target: Target) -> Iterator[tuple[Change, SimulatedTarget]]:
    """The simulated target as it is, then with each assumed number times each factor; nothing for other targets."""
    machine = target.machine
    if not target.simulated or not isinstance(machine, Accelerator):
        return
    yield NO_CHANGE, SimulatedTarget(target.name, machine)
    for name in scalable(machine):
        for factor in FACTORS:
            yield (name, factor), SimulatedTarget(target.name, scaled(machine, name, factor))


def _on_changed(
    running: _Running,
    change: Change,
    target: SimulatedTarget,
    title: str,
    network: Network,
    chosen: Options,
    progress: driver.ProgressCallback | None,
) -> tuple[Result, ...]:
    """One model's result on a changed machine, which is characterized when it is met first."""
    words = _prefixed("{} x {:g}".format(*change), progress)
    if change not in running.profiles:
        running.profiles[change] = _characterized(target, chosen, words)
    comparison = compare(
        {title: network},
        target,
        strategies=("baseline", "dlfusion", "oracle"),
        cores=chosen.cores,
        profile=running.profiles[change],
        oracle_depth=chosen.oracle_depth,
        database=chosen.database,
        exact=chosen.exact,
        progress=words,
    )
    (found,) = comparison.models
    base, ours, _ = found.results
    regret = found.regret(ours)
    return ((title, found.ratio(base, ours).minimum, None if regret is None else regret.minimum),)


def _row(target: Target, change: Change, results: tuple[Result, ...]) -> SensitivityRow:
    name, factor = change
    machine = target.machine
    if change == NO_CHANGE or not isinstance(machine, Accelerator):
        return SensitivityRow(name, factor, 1.0, "", "", results)
    original, changed = machine.quantities[name], scaled(machine, name, factor).quantities[name]
    return SensitivityRow(name, factor, changed.value, changed.unit, original.source, results)


def _characterized(target: Target, chosen: Options, progress: driver.ProgressCallback | None) -> Profile:
    """A profile of a changed machine; its samples stay in the database, its file is not kept."""
    with tempfile.TemporaryDirectory(prefix="reproduce-", dir=scratch_folder()) as folder:
        return driver.characterize(
            target,
            grid=SENSITIVITY_GRID,
            output=Path(folder) / "profile.json",
            database=chosen.database,
            progress=progress,
        )


def _prefixed(words: str, progress: driver.ProgressCallback | None) -> driver.ProgressCallback | None:
    if progress is None:
        return None

    def report(stage: str, done: int, total: int) -> None:
        progress(f"{words}, {stage}", done, total)

    return report
