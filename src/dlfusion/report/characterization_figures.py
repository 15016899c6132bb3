"""The figures of a characterization, each from a profile or from what was found out about features."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlfusion.cost.insight_records import Insight, Ranking
from dlfusion.cost.profile import Profile
from dlfusion.layers.kind import Kind
from dlfusion.report import plots
from dlfusion.report.characterized import (
    Fusion,
    best_count,
    best_layers,
    computed_directly,
    core_counts,
    fusions,
    median_curve,
    predicted_seconds,
    rate,
    regions,
    relative_error,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONVOLUTIONS = (Kind.DENSE, Kind.POINTWISE)

MOST_COMPONENTS = 4
"""Principal components that are drawn, the first ones."""


def throughput(profile: Profile) -> "Figure":
    """Operations per second against operation count: a mark for each layer, for each core count a line of medians.

    The line is of convolutions that sum over channels; other layers, whose rates have other limits, are crosses. All
    are computed directly, so that their operation counts are what was done.
    """
    drawn = plots.figure(8.5, 4.8)
    plots.headline(
        drawn, f"{profile.target}: throughput of single layers, computed directly", simulated=profile.simulated
    )
    axes = drawn.subplots()
    counts = core_counts(profile.samples)
    colours = plots.core_colours(counts)
    layers = best_layers(computed_directly(profile.samples))
    for cores in counts:
        samples = [by_cores[cores] for by_cores in layers.values() if cores in by_cores]
        sums, others = (
            [(float(s.operations), rate(s) / 1e9) for s in samples if (s.kind in CONVOLUTIONS) is wanted]
            for wanted in (True, False)
        )
        curve = median_curve(sums)
        axes.scatter(*_columns(sums), s=9, color=colours[cores], alpha=0.45, linewidths=0)
        axes.scatter(*_columns(others), s=12, color=colours[cores], alpha=0.45, linewidths=0.8, marker="x")
        name = f"{cores} core" if cores == 1 else f"{cores} cores"
        axes.plot(*_columns(curve), color=colours[cores], linewidth=2, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if math.isfinite(profile.critical_operations) and profile.critical_operations > 0:
        axes.axvline(
            profile.critical_operations, color="#888888", linestyle="--", linewidth=1, label="critical, per core"
        )
    title = (
        "dots: convolutions, with lines of their medians; crosses: depthwise and fully connected layers, pools, sums"
    )
    plots.tidy(axes, title, "operations of the layer", "GOP/s (shortest run)")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return drawn


def core_map(profile: Profile) -> "Figure":
    """The best core count of each layer over operation count and channels, and the regions of the fitted rule."""
    from matplotlib.patches import Rectangle

    drawn = plots.figure(8.5, 4.8)
    plots.headline(drawn, f"{profile.target}: best core count of single layers", simulated=profile.simulated)
    axes = drawn.subplots()
    counts = sorted({*core_counts(profile.samples), *profile.cores.core_counts})
    colours = plots.core_colours(counts)
    layers = list(best_layers(profile.samples).values())
    samples = [next(iter(by_cores.values())) for by_cores in layers]
    x_limits = _wider(float(sample.operations) for sample in samples)
    y_limits = _wider(sample.channels for sample in samples)
    for region in regions(profile.cores):
        left, right = max(region.least_operations, x_limits[0]), min(region.most_operations, x_limits[1])
        low, high = max(region.least_channels, y_limits[0]), min(region.most_channels, y_limits[1])
        if left < right and low < high:
            colour = colours[region.cores]
            axes.add_patch(Rectangle((left, low), right - left, high - low, color=colour, alpha=0.3, linewidth=0))
    for number, cores in enumerate(counts):
        points = [
            (float(sample.operations), sample.channels)
            for sample, by_cores in zip(samples, layers, strict=True)
            if best_count(by_cores) == cores
        ]
        marker = plots.MARKERS[number % len(plots.MARKERS)]
        x, y = _columns(points)
        axes.scatter(x, y, s=34, marker=marker, color=colours[cores], edgecolors="#222222", linewidths=0.5, label=cores)
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.set_xlim(*x_limits)
    axes.set_ylim(*y_limits)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    said = "simulated" if profile.simulated else "measured"
    title = f"marks: best as {said}; areas: what the fitted rule says"
    plots.tidy(axes, title, "operations of the layer", "channels (mean of input and output)", grid=False)
    axes.legend(
        title="cores", fontsize=8, title_fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )
    return drawn


def fusion(profile: Profile) -> "Figure":
    """What fusing gains and what it computes again, against depth, for each core count."""
    drawn = plots.figure(9.5, 4.4)
    plots.headline(drawn, f"{profile.target}: chains of layers fused to one block", simulated=profile.simulated)
    gains, recomputes = drawn.subplots(1, 2)
    found = fusions(profile.samples)
    counts = core_counts(profile.samples)
    colours = plots.core_colours(counts)
    for number, cores in enumerate(counts):
        here = [item for item in found if item.cores == cores]
        shift = 1 + 0.012 * (number - (len(counts) - 1) / 2)
        _depth_curve(gains, [(item.layers * shift, item.gain) for item in here], here, colours[cores], cores)
        points = [(item.layers * shift, (item.recompute - 1) * 100) for item in here]
        _depth_curve(recomputes, points, here, colours[cores], cores)
    gains.axhline(1.0, color="#888888", linestyle="--", linewidth=1)
    plots.tidy(gains, "gain (above 1, fusing pays); lines: medians", "layers in the block", "time apart / time fused")
    plots.tidy(recomputes, "rows computed twice; lines: medians", "layers in the block", "more operations (%)")
    for axes in (gains, recomputes):
        axes.set_xticks(sorted({item.layers for item in found}))
    handles, labels = gains.get_legend_handles_labels()
    drawn.legend(
        handles, labels, title="cores", fontsize=8, title_fontsize=8, loc="outside right center", frameon=False
    )
    return drawn


def prediction(profile: Profile) -> "Figure":
    """Fitted against measured times, and the relative errors of each kind of layer."""
    drawn = plots.figure(9.5, 4.6)
    plots.headline(drawn, f"{profile.target}: the fitted cost model", simulated=profile.simulated)
    scatter, errors = drawn.subplots(1, 2)
    kinds = sorted({sample.kind for sample in profile.samples})
    by_kind = {kind: [sample for sample in profile.samples if sample.kind == kind] for kind in kinds}
    for number, (kind, samples) in enumerate(by_kind.items()):
        points = [(sample.minimum * 1e6, predicted_seconds(sample, profile.cost) * 1e6) for sample in samples]
        colour = plots.SERIES_COLOURS[number % len(plots.SERIES_COLOURS)]
        marker = plots.MARKERS[number % len(plots.MARKERS)]
        scatter.scatter(*_columns(points), s=11, color=colour, marker=marker, alpha=0.6, linewidths=0, label=kind)
    limits = _wider(sample.minimum * 1e6 for sample in profile.samples)
    scatter.plot(limits, limits, color="#888888", linewidth=1, linestyle="--")
    scatter.set_xscale("log")
    scatter.set_yscale("log")
    said = "simulated" if profile.simulated else "measured"
    plots.tidy(scatter, "each dot a block", f"{said} time (us, shortest run)", "predicted time (us)")
    scatter.legend(fontsize=7, frameon=False, loc="upper left")
    for row, samples in enumerate(by_kind.values()):
        values = [relative_error(sample, profile.cost) * 100 for sample in samples]
        low, first, middle, third, high = np.percentile(values, (5, 25, 50, 75, 95))
        errors.plot([low, high], [row, row], color="#555555", linewidth=1)
        errors.barh(row, third - first, left=first, height=0.5, color="#a9cbe4")
        errors.plot([middle, middle], [row - 0.25, row + 0.25], color=plots.SERIES_COLOURS[1], linewidth=2)
    errors.set_yticks(range(len(kinds)), kinds)
    plots.tidy(errors, "errors by kind: median, middle half, 5 % to 95 %", "relative error (%)")
    return drawn


def components(insight: Insight, target: str, *, simulated: bool) -> "Figure":
    """The loadings of the first principal components, and how much each explains."""
    shown = insight.components[:MOST_COMPONENTS]
    names = [name for name, _ in shown[0].loadings]
    drawn = plots.figure(8.5, 1.8 + 0.32 * len(names))
    plots.headline(drawn, f"{target}: principal components of the features of layers", simulated=simulated)
    axes = drawn.subplots()
    table = [[dict(component.loadings)[name] for component in shown] for name in names]
    image = axes.imshow(table, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            colour = "white" if abs(value) > 0.7 else "#222222"
            axes.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=8, color=colour)
    titles = [f"{number}: {component.explained:.0%}" for number, component in enumerate(shown, 1)]
    axes.set_xticks(range(len(shown)), titles)
    axes.set_yticks(range(len(names)), names)
    plots.tidy(axes, "loadings", "component: share of the variance that it explains", grid=False)
    drawn.colorbar(image, ax=axes, label="loading").ax.tick_params(labelsize=8)
    return drawn


def importance(insight: Insight, target: str, *, simulated: bool) -> "Figure":
    """How much worse a prediction gets if one feature is shuffled, for each question."""
    rows = max([len(ranking.importances) for ranking in insight.rankings], default=1)
    drawn = plots.figure(9.5, 1.8 + 0.3 * rows)
    plots.headline(drawn, f"{target}: which features of layers matter", simulated=simulated)
    panels = drawn.subplots(1, max(len(insight.rankings), 1), squeeze=False)[0]
    for axes, ranking in zip(panels, insight.rankings, strict=False):
        _bars(axes, ranking)
    return drawn


def _bars(axes: "Axes", ranking: Ranking) -> None:
    title = f"{ranking.question} (R² {ranking.score:.2f})"
    if not ranking.importances:
        axes.text(0.5, 0.5, ranking.reason, ha="center", va="center", fontsize=9, transform=axes.transAxes, wrap=True)
        axes.set_xticks([])
        axes.set_yticks([])
        plots.tidy(axes, ranking.question, grid=False)
        return
    names = [item.feature for item in ranking.importances]
    means = [item.mean for item in ranking.importances]
    spreads = [item.spread for item in ranking.importances]
    axes.barh(names, means, xerr=spreads, color=plots.SERIES_COLOURS[0], ecolor="#555555", height=0.65, capsize=3)
    axes.invert_yaxis()
    plots.tidy(axes, title, "loss of R² if the feature is shuffled")


def _depth_curve(
    axes: "Axes", points: Sequence[tuple[float, float]], items: Sequence[Fusion], colour: str, cores: int
) -> None:
    """A dot for each point, and a line through the medians of those of one depth."""
    by_depth: dict[int, list[tuple[float, float]]] = {}
    for point, item in zip(points, items, strict=True):
        by_depth.setdefault(item.layers, []).append(point)
    medians = [median_curve([(1.0, y) for _, y in by_depth[depth]], 1)[0][1] for depth in sorted(by_depth)]
    axes.scatter(*_columns(points), s=9, color=colour, alpha=0.45, linewidths=0)
    axes.plot(sorted(by_depth), medians, color=colour, linewidth=1.8, marker="o", markersize=3.5, label=str(cores))


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """The x and the y of points."""
    return [x for x, _ in points], [y for _, y in points]


def _wider(values: Iterable[float]) -> tuple[float, float]:
    """Limits of an axis of logarithms around positive values."""
    known = sorted(values)
    return known[0] / 1.4, known[-1] * 1.4
