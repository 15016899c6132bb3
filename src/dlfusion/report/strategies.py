"""What a comparison of strategies found: every sample, speed-ups and regrets, and its table, CSV and JSON."""

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dlfusion.plans.plan import Block, Plan
from dlfusion.report.table import Column, Table
from dlfusion.report.units import milliseconds, percent

BASELINE = "baseline"
"""Speed-ups are over this strategy."""

ORACLE = "oracle"
"""Regrets are against this strategy."""

UNFUSED = ("baseline", "all-cores", "layer-cores")
"""Strategies that leave every layer alone."""

GLOBAL_CORES = ("baseline", "all-cores", "fuse-all", "fixed-block")
"""Strategies that give all blocks the same number of cores, or fewer where a block cannot use so many."""

EXACT_NOTE = "Exact: every plan computes every convolution directly, none by Winograd's algorithms."

SCHEMA_VERSION = 1

_LEAST_SHOWN = 0.0005
"""Shares are shown in tenths of a percent."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two latencies, once of the fastest runs and once of the runs in the middle."""

    minimum: float
    median: float


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of a simulated latency, each as a share of it; they overlap, so they do not add up to 1.

    `starts`: launching blocks and synchronising their cores. `arithmetic`: while the busiest core computes. `memory`:
    while the busiest memory channel delivers.
    """

    starts: float
    arithmetic: float
    memory: float


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """One strategy on one model.

    `cores` is the most that a block might use. `samples` are the seconds of every run of the plan, taken in turns with
    all other plans of the model. `search_seconds` is what making the plan took, measurements included; `measured` are
    the blocks and plans measured for it, `reused` the measurements it took from the database instead.
    `predicted_seconds` is the cost model's latency of the plan. `shares` are known on simulated targets only.
    """

    model: str
    target: str
    simulated: bool
    cores: int
    strategy: str
    plan: Plan
    samples: tuple[float, ...]
    search_seconds: float
    measured: int = 0
    reused: int = 0
    predicted_seconds: float | None = None
    shares: Shares | None = None

    @property
    def minimum(self) -> float:
        """The fastest run, in seconds."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The run in the middle, in seconds."""
        return statistics.median(self.samples)

    @property
    def blocks(self) -> int:
        """Blocks of the plan."""
        return len(self.plan.blocks)

    @property
    def choices(self) -> tuple[Block, ...]:
        """The blocks without their reasons: equal choices are equal programs."""
        return choices(self.plan)

    @property
    def noise(self) -> float:
        """How far the fastest even run is from the fastest odd one, relatively: what this run cannot tell apart."""
        even, odd = self.samples[::2], self.samples[1::2]
        return abs(min(even) / min(odd) - 1) if odd else 0.0


@dataclass(frozen=True, slots=True)
class OracleStatistics:
    """What the reduced brute force did.

    `longest` is the most layers of a block that it tried. `measurements` are the distinct blocks that were timed for
    it, now or before; `brute_force` the plans that full brute force would time: all covers of the network by legal
    blocks times all choices for each. `seconds` is the search's time.
    """

    longest: int
    measurements: int
    brute_force: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """All strategies on one model, their plans timed against each other in one run; `layers` are the model's."""

    model: str
    layers: int
    results: tuple[StrategyResult, ...]
    oracle: OracleStatistics | None = None

    def find(self, strategy: str) -> StrategyResult | None:
        """The result of a strategy; without one of just that name, `fixed-block` also finds `fixed-block:3`."""
        by_base = {base_name(result.strategy): result for result in reversed(self.results)}
        by_name = {result.strategy: result for result in self.results}
        return (by_base | by_name).get(strategy)

    def ratio(self, over: StrategyResult, under: StrategyResult) -> Ratio:
        """The latency of `over` in units of that of `under`."""
        return Ratio(over.minimum / under.minimum, over.median / under.median)

    def speed_up(self, result: StrategyResult) -> Ratio | None:
        """The baseline's latency over the result's; None without a baseline."""
        base = self.find(BASELINE)
        return None if base is None else self.ratio(base, result)

    def regret(self, result: StrategyResult) -> Ratio | None:
        """How much longer than the oracle's plan the result's takes, relatively; None without an oracle.

        It is negative where a plan has blocks that the oracle did not try, such as longer ones; on a measured target
        also by noise, since the oracle's optimum is that of a table of single blocks.
        """
        best = self.find(ORACLE)
        if best is None:
            return None
        ratio = self.ratio(result, best)
        return Ratio(ratio.minimum - 1, ratio.median - 1)

    def excess(self, result: StrategyResult, rivals: Sequence[str]) -> Ratio | None:
        """How much longer the result's plan takes than the fastest of some strategies'; None if none was compared."""
        found = [rival for name in rivals if (rival := self.find(name)) is not None]
        if not found:
            return None
        best = Ratio(min(rival.minimum for rival in found), min(rival.median for rival in found))
        return Ratio(result.minimum / best.minimum - 1, result.median / best.median - 1)

    def twin(self, result: StrategyResult) -> str | None:
        """The first earlier strategy that made the same plan, if one did."""
        for other in self.results:
            if other is result:
                return None
            if other.choices == result.choices:
                return other.strategy
        return None

    @property
    def noise(self) -> float:
        """The largest noise of any of the plans."""
        return max(result.noise for result in self.results)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Strategies compared on one target; `machine` is its fingerprint, `cost_model` what predicted.

    `exact` says that plans were to compute every layer directly.
    """

    target: str
    simulated: bool
    machine: str
    cost_model: str
    models: tuple[ModelComparison, ...]
    exact: bool = False

    @property
    def subject(self) -> str:
        """The target as titles name it."""
        return f"{self.target}, exact" if self.exact else self.target

    @property
    def title(self) -> str:
        """What was compared, on what, and whether a simulator stood for the device."""
        how = "simulated, not measured" if self.simulated else "measured"
        return f"Strategies on {self.subject} ({how})"

    @property
    def stem(self) -> str:
        """The name of files about this comparison, without an ending."""
        how = "simulated" if self.simulated else "measured"
        return f"strategies-{file_name(self.target)}-{how}{'-exact' if self.exact else ''}"

    def document(self) -> dict[str, Any]:
        """The comparison as JSON can hold it, plans and samples included; units are in the names."""
        document = {"schema": SCHEMA_VERSION, **asdict(self)}
        for model, shown in zip(self.models, document["models"], strict=True):
            for result, entry in zip(model.results, shown["results"], strict=True):
                entry["samples_seconds"] = entry.pop("samples")
                entry |= {"minimum_seconds": result.minimum, "median_seconds": result.median}
                for name, ratio in (("speed_up", model.speed_up(result)), ("regret", model.regret(result))):
                    entry[name] = None if ratio is None else asdict(ratio)
        return document


def base_name(strategy: str) -> str:
    """A strategy's name without its argument: `fixed-block` of `fixed-block:3`."""
    return strategy.partition(":")[0]


def file_name(name: str) -> str:
    """A name as a part of a file's name: whatever could mean something to a file system becomes a hyphen."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)


def choices(plan: Plan) -> tuple[Block, ...]:
    """A plan's blocks without their reasons."""
    return tuple(replace(block, reason="") for block in plan.blocks)


def strategy_table(comparison: Comparison) -> Table:
    """The table of `dlfusion compare`: one row for each model and strategy."""
    how = "simulated" if comparison.simulated else "measured"
    columns = (
        Column("model", number=False),
        Column("cores"),
        Column("strategy", number=False),
        Column(f"{how} min ms"),
        Column(f"{how} median ms"),
        Column("speed-up"),
        Column("regret"),
        Column("blocks"),
        Column("search"),
        Column(how),
        Column("reused"),
    )
    rows = tuple(_row(model, result) for model in comparison.models for result in model.results)
    return Table(comparison.title, columns, rows, (*notes(comparison), *_oracle_notes(comparison)))


def notes(comparison: Comparison) -> tuple[str, ...]:
    """How to read the table's numbers."""
    meaning = (
        "Speed-up: the baseline's latency over the strategy's. Regret: how much longer than the oracle's plan. Both of "
        "the fastest runs, then of the medians where they differ."
    )
    if comparison.simulated:
        how = f"A simulator stands for the device ({comparison.machine}); nothing here was measured on one."
    else:
        noise = max(model.noise for model in comparison.models) if comparison.models else 0.0
        how = (
            f"Measured on {comparison.machine}; the plans of a model ran in turns. Noise of this run (fastest even "
            f"against fastest odd runs of one plan): up to {percent(noise)}."
        )
    return (meaning, *_negative_note(comparison), how, *((EXACT_NOTE,) if comparison.exact else ()))


def _negative_note(comparison: Comparison) -> tuple[str, ...]:
    """A sentence for readers who meet a negative regret."""
    regrets = [regret for model in comparison.models for result in model.results if (regret := model.regret(result))]
    if all(regret.minimum >= -_LEAST_SHOWN for regret in regrets):
        return ()
    reasons = "blocks that the reduced brute force left out, such as longer ones"
    if not comparison.simulated:
        reasons += ", or noise"
    return (f"A negative regret: {reasons}.",)


def csv_text(comparison: Comparison) -> str:
    """One line for each model and strategy; numbers in full, units in the headings."""
    how = "simulated" if comparison.simulated else "measured"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        (
            *("model", "target", "simulated_or_measured", "cores", "strategy", "minimum_seconds", "median_seconds"),
            *("runs", "speed_up_minimum", "speed_up_median", "regret_minimum", "regret_median", "blocks"),
            *("search_seconds", "measured", "reused", "predicted_seconds", "exact"),
        )
    )
    for model in comparison.models:
        for result in model.results:
            speed, regret = model.speed_up(result), model.regret(result)
            writer.writerow(
                (
                    *(model.model, comparison.target, how, result.cores, result.strategy),
                    *(result.minimum, result.median, len(result.samples)),
                    *(("", "") if speed is None else (speed.minimum, speed.median)),
                    *(("", "") if regret is None else (regret.minimum, regret.median)),
                    *(result.blocks, result.search_seconds, result.measured, result.reused),
                    "" if result.predicted_seconds is None else result.predicted_seconds,
                    int(comparison.exact),
                )
            )
    return text.getvalue()


def duration(seconds: float) -> str:
    """A time as people read it: `12.3 ms`, `4.56 s`, `12.3 min`, `2.1 h`."""
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def whole_number(count: int) -> str:
    """A count in full up to a million, then as a power of ten; numbers of plans have hundreds of digits."""
    if count < 1_000_000:
        return f"{count:,}"
    digits = str(count)
    return f"{digits[0]}.{digits[1]}e{len(digits) - 1}"


def _row(model: ModelComparison, result: StrategyResult) -> tuple[str, ...]:
    twin = model.twin(result)
    return (
        model.model,
        str(result.cores),
        result.strategy if twin is None else f"{result.strategy} (plan of {twin})",
        milliseconds(result.minimum),
        milliseconds(result.median),
        _both(model.speed_up(result), lambda value: f"{value:.2f}x"),
        _both(model.regret(result), percent),
        str(result.blocks),
        duration(result.search_seconds),
        str(result.measured),
        str(result.reused),
    )


def _both(ratio: Ratio | None, text: Callable[[float], str]) -> str:
    if ratio is None:
        return ""
    minimum, median = text(ratio.minimum), text(ratio.median)
    return minimum if minimum == median else f"{minimum} / {median}"


def _oracle_notes(comparison: Comparison) -> tuple[str, ...]:
    found = [
        f"{model.model} {oracle.measurements} blocks of up to {oracle.longest} layers in {duration(oracle.seconds)} "
        f"(full brute force: {whole_number(oracle.brute_force)} plans)"
        for model in comparison.models
        if (oracle := model.oracle) is not None
    ]
    return (f"Oracle: {'; '.join(found)}.",) if found else ()
