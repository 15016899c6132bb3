"""What characterizing a target found, as tables and as one page with figures. Every sentence comes from the numbers."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dlfusion.cost.insight_records import Insight, Ranking
from dlfusion.cost.profile import Profile, Sample
from dlfusion.report import characterization_figures as figures
from dlfusion.report import plots
from dlfusion.report.chains import chain_layers
from dlfusion.report.characterized import (
    Fusion,
    best_count,
    best_layers,
    computed_directly,
    core_counts,
    fusions,
    rate,
    regions,
)
from dlfusion.report.table import Column, Table, markdown
from dlfusion.report.units import operations_text, percent

PAGE = "characterization.md"

PAPER_FEATURES = ("operations", "channels")
"""What the paper's strategy decides by (arXiv 2011.05630)."""


WEAK_SCORE = 0.3
"""A prediction that explains less of the variance than this says little about which features matter."""


SAME_DESCRIPTION = (
    "The cost model and the simulator start from the same description of the machine, so small errors say that the two "
    "agree, not that either predicts hardware."
)

NOISY_RUN = 0.1
"""A sample counts as disturbed if its median run took longer than the shortest by more than this share."""

MOST_DISTURBED = 0.2
"""With a larger share of disturbed samples the page advises to measure again."""


def origin(profile: Profile) -> str:
    """A sentence that says on what the numbers were taken, and whether it was real."""
    if profile.simulated:
        return f"Simulated: the numbers come from a simulator of {profile.machine}, not from hardware."
    return f"Measured on {profile.machine}, compiled with {profile.compiler}."


def fit_table(profile: Profile) -> Table:
    """The fitted models with their errors, and the critical operation count."""
    fit, rule = profile.cost.fit, profile.cores
    title = f"{profile.target}: fitted models" + (" (simulated)" if profile.simulated else "")
    rows = (
        ("cost model", "samples", str(fit.samples)),
        ("", "median error", percent(fit.median_relative_error)),
        ("", "worst error", percent(fit.worst_relative_error)),
        ("", "rank correlation", f"{fit.rank_correlation:.3f}"),
        ("", "overlap of arithmetic and transfers", percent(profile.cost.overlap)),
        ("best core count", "mean regret", percent(rule.regret)),
        ("", "worst regret", percent(rule.worst_regret)),
        ("critical operation count", "per core", operations_text(profile.critical_operations)),
    )
    notes = ("Errors and regrets are of samples that were left out of the fit which predicts them.",)
    return Table(title, (Column("model", False), Column("", False), Column("value")), rows, notes)


def factor_table(profile: Profile) -> Table:
    """By how much each part of the analytic cost model is off on this device."""
    seen = {name for sample in profile.samples for name, _ in sample.terms}
    rows = tuple((name, f"{factor:.2f}") for name, factor in profile.cost.factors if name in seen)
    notes = ("A factor of 1 means that the analytic model is right about this part of a block's time.",)
    return Table("Factors of the cost model", (Column("part of a block's time", False), Column("factor")), rows, notes)


def rule_table(profile: Profile) -> Table:
    """The core rule as text: one row for each region of operation count and channels."""
    rows = []
    for region in regions(profile.cores):
        operations = _range(region.least_operations, region.most_operations, operations_text)
        channels = _range(region.least_channels, region.most_channels, lambda count: f"{count:.0f}")
        rows.append((operations, channels, str(region.cores)))
    columns = (Column("operations", False), Column("channels", False), Column("best core count"))
    return Table(f"{profile.target}: the rule for a layer's core count", columns, tuple(rows))


def sentences(profile: Profile) -> tuple[str, ...]:
    """What the samples say, in words."""
    parts = (_rate_sentences, _count_sentences, _fusion_sentences, noise_sentences)
    return tuple(sentence for part in parts for sentence in part(profile))


def noise_sentences(profile: Profile) -> tuple[str, ...]:
    """How quiet the device was while it was measured; nothing for a simulator, which repeats itself exactly."""
    if profile.simulated:
        return ()
    disturbed = [s for s in profile.samples if statistics.median(s.seconds) > s.minimum * (1 + NOISY_RUN)]
    share = len(disturbed) / len(profile.samples)
    line = f"In {percent(share)} of the samples the median run took over {percent(NOISY_RUN)} longer than the shortest."
    if share <= MOST_DISTURBED:
        return (line,)
    advice = (
        "Something else was running: measure again while nothing is, with another `--db`, which starts from nothing."
    )
    return (line, advice)


def insight_sentences(insight: Insight) -> tuple[str, ...]:
    """Whether the features that the paper decides by are those that matter here."""
    found = []
    for ranking in insight.rankings:
        found += list(_ranking_sentences(ranking))
    if insight.components:
        found += list(_component_sentences(insight))
    if insight.constant:
        found.append(f"Left out, because no sample differs in it: {', '.join(insight.constant)}.")
    return tuple(found)


def write_report(profile: Profile, insight: Insight, folder: Path, write: Callable[[Path, str], None]) -> Path:
    """Writes the page and its figures (PNG and SVG) into an existing folder; returns the page.

    Equal profiles give equal files. `write` writes a text file so that an interruption leaves the old one.

    Raises:
        DrawingError: matplotlib is not installed, or a figure cannot be written.
    """
    drawn = {
        "throughput": figures.throughput(profile),
        "best-core-count": figures.core_map(profile),
        "fusion": figures.fusion(profile),
        "cost-model": figures.prediction(profile),
        "importance": figures.importance(insight, profile.target, simulated=profile.simulated),
    }
    if insight.components:
        drawn["components"] = figures.components(insight, profile.target, simulated=profile.simulated)
    for stem, figure in drawn.items():
        plots.save(figure, folder, stem)
    page = folder / PAGE
    write(page, "\n".join(_page(profile, insight, tuple(drawn))))
    return page


def _page(profile: Profile, insight: Insight, drawn: Sequence[str]) -> Iterator[str]:
    yield f"# {profile.target}: characterization" + (" (simulated)" if profile.simulated else "")
    yield from ("", origin(profile))
    labels = {sample.label: sample.layers for sample in profile.samples}
    layers = sum(count == 1 for count in labels.values())
    yield from ("", f"{layers} layers and {len(labels) - layers} chains, {len(profile.samples)} samples.")
    yield from _paragraphs(noise_sentences(profile))
    yield from ("", "## Throughput", "", _image("throughput", "throughput against operation count"))
    yield from _paragraphs(_rate_sentences(profile))
    picture = _image("best-core-count", "best core count against operation count and channels")
    yield from ("", "## Best core count", "", picture)
    yield from _paragraphs(_count_sentences(profile))
    yield from ("", markdown(rule_table(profile)).rstrip())
    yield from ("", "## Fusion", "", _image("fusion", "gain and recomputation of fused chains against depth"))
    yield from _paragraphs(_fusion_sentences(profile))
    yield from ("", markdown(_fusion_table(fusions(profile.samples))).rstrip())
    yield from ("", "## Fitted models", "", _image("cost-model", "predicted against measured times"))
    yield from (
        "",
        "The figure shows the final fit on its own samples; the errors in the table are of samples left out.",
    )
    for table in (fit_table(profile), factor_table(profile)):
        yield from ("", markdown(table).rstrip())
    if profile.simulated:
        yield from ("", SAME_DESCRIPTION)
    yield from ("", "## What matters", "", _image("importance", "permutation importance of features"))
    if "components" in drawn:
        yield _image("components", "loadings of principal components")
    yield from _paragraphs(insight_sentences(insight))
    yield ""


def _image(stem: str, what: str) -> str:
    return f"![{what}]({stem}.svg)"


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield from ("", line)


def _rate_sentences(profile: Profile) -> tuple[str, ...]:
    layers = best_layers(computed_directly(profile.samples))
    counts = core_counts(profile.samples)
    peaks = {cores: max(rate(by[cores]) for by in layers.values() if cores in by) / 1e9 for cores in counts}
    few, many = counts[0], counts[-1]
    more = f" and {peaks[many]:.0f} on {_cores(many)}, {peaks[many] / peaks[few]:.1f} times as much"
    lines = [f"The fastest layer reaches {peaks[few]:.0f} GOP/s on {_cores(few)}{more if many != few else ''}."]
    if profile.critical_operations > 0 and math.isfinite(profile.critical_operations):
        critical = operations_text(profile.critical_operations)
        lines.append(
            f"A core is within a tenth of its plateau from {critical} on: the critical operation count per core."
        )
    return tuple(lines)


def _count_sentences(profile: Profile) -> tuple[str, ...]:
    layers = [by_cores for by_cores in best_layers(profile.samples).values() if len(by_cores) > 1]
    if not layers:
        return ("Every layer runs on one core count only, so there is nothing to choose.",)
    chosen = Counter(best_count(by_cores) for by_cores in layers)
    shares = ", ".join(f"{_cores(cores)} for {percent(chosen[cores] / len(layers))}" for cores in sorted(chosen))
    losses = [_loss_on_most(by_cores) for by_cores in layers]
    most = f"{percent(statistics.fmean(losses))} on average and {percent(max(losses))} at worst"
    rule = f"{percent(profile.cores.regret)} and {percent(profile.cores.worst_regret)}"
    return (
        f"Of {len(layers)} layers with a choice, the best count is {shares}.",
        f"Each on the most cores it can have, they would lose {most}; by the rule, left out of its fit, {rule}.",
    )


def _loss_on_most(by_cores: Mapping[int, Sample]) -> float:
    """How much longer than on its best count a layer takes on the most cores, as a share."""
    return by_cores[max(by_cores)].minimum / by_cores[best_count(by_cores)].minimum - 1


def _fusion_sentences(profile: Profile) -> tuple[str, ...]:
    found = fusions(profile.samples)
    if not found:
        return ("No chain could run fused on this device: none fits into the memory of a core.",)
    pays = [item for item in found if item.gain > 1]
    best, worst = max(found, key=lambda item: item.gain), min(found, key=lambda item: item.gain)
    extremes = [f"{item.gain:.2f} times, for {_short(item.label)} on {_cores(item.cores)}" for item in (best, worst)]
    lines = [
        f"Fusing pays in {len(pays)} of {len(found)} cases (chains x core counts).",
        f"It gains most, {extremes[0]}, and least, {extremes[1]}.",
    ]
    counts = sorted({item.cores for item in found})
    few, many = counts[0], counts[-1]
    if few != many:
        on_few, on_many = ([item for item in found if item.cores == cores] for cores in (few, many))
        gains = " to ".join(f"{statistics.median(item.gain for item in items):.2f}" for items in (on_few, on_many))
        again = " to ".join(percent(statistics.median(i.recompute - 1 for i in items)) for items in (on_few, on_many))
        way = f"From {_cores(few)} to {_cores(many)}"
        lines.append(f"{way} the median gain goes from {gains}, and the median of what is computed twice from {again}.")
    return tuple(lines)


def _fusion_table(found: Sequence[Fusion]) -> Table:
    """One row for each chain: the core count on which fusing it gains most."""
    rows = []
    for label in dict.fromkeys(item.label for item in found):
        best = max((item for item in found if item.label == label), key=lambda item: item.gain)
        again = percent(best.recompute - 1)
        rows.append((_short(label), str(best.layers), str(best.cores), str(best.step_rows), f"{best.gain:.2f}", again))
    columns = (
        Column("chain", False),
        Column("layers"),
        Column("cores"),
        Column("rows per step"),
        Column("gain"),
        Column("done twice"),
    )
    notes = ("The core count of each chain is the one where fusing gains most, which need not be the fastest.",)
    return Table("Fused chains", columns, tuple(rows), notes)


def _short(label: str) -> str:
    """The label without repetitions: `2 x (a + b)` for `chain 4: a + b + a + b`."""
    names = chain_layers(label)
    count = len(names)
    period = next(n for n in range(1, count + 1) if count % n == 0 and names[:n] * (count // n) == names)
    unit = " + ".join(names[:period])
    if period == count:
        return unit
    return f"{count // period} x {unit}" if period == 1 else f"{count // period} x ({unit})"


def _ranking_sentences(ranking: Ranking) -> Iterator[str]:
    if not ranking.importances:
        yield f"Nothing can be said about the {ranking.question}: {ranking.reason}."
        return
    named = ", ".join(f"{item.feature} ({item.mean:.2f} ± {item.spread:.2f})" for item in ranking.importances[:4])
    score = f"R² {ranking.score:.2f} on layers left out"
    yield f"For the {ranking.question} ({score}), the features that matter most are {named}."
    if ranking.score < WEAK_SCORE:
        yield "The prediction is weak: something else decides on this device, and the order says little."
        return
    first = {item.feature for item in ranking.importances[: len(PAPER_FEATURES)]}
    paper = " and ".join(PAPER_FEATURES)
    if first == set(PAPER_FEATURES):
        yield f"So {paper}, by which the paper decides, are the two that matter most here."
    else:
        places = [item.feature for item in ranking.importances]
        ranks = ", ".join(f"{name} is number {places.index(name) + 1}" for name in PAPER_FEATURES if name in places)
        yield f"So {paper}, by which the paper decides, are not the first two here: {ranks} of {len(places)}."
    for group in ranking.ties:
        yield f"Not to be told apart: {', '.join(group)}."


def _component_sentences(insight: Insight) -> Iterator[str]:
    for number, component in enumerate(insight.components[:2], 1):
        largest = sorted(component.loadings, key=lambda loading: -abs(loading[1]))[:3]
        named = ", ".join(f"{name} ({value:+.2f})" for name, value in largest)
        share = f"{component.explained:.0%} of the variance"
        yield f"Principal component {number} explains {share}; its largest loadings are {named}."


def _range(least: float, most: float, text: Callable[[float], str]) -> str:
    """An interval in words."""
    if least == 0:
        return "any" if math.isinf(most) else f"up to {text(most)}"
    return f"above {text(least)}" if math.isinf(most) else f"{text(least)} to {text(most)}"


def _cores(count: int) -> str:
    return f"{count} core" if count == 1 else f"{count} cores"
