"""The picture of a comparison with other engines: bars for each model, one panel for each core count."""

from pathlib import Path
from typing import TYPE_CHECKING

from dlfusion.report.comparisons import ours_text
from dlfusion.report.plots import SERIES_COLOURS, figure, headline, save, tidy
from dlfusion.report.record import Comparison, Engine, Record, geometric_means
from dlfusion.report.units import cores_text, milliseconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUR_COLOUR = SERIES_COLOURS[0]
PEER_COLOURS = ("#d9a066", "#8fb996", "#c9a0c4", "#a3a3a3", "#d6c76a", "#9ec5d9")
"""Lighter than ours, so that the eye compares each with ours first."""

_GROUP = 0.86
_INCHES_PER_BAR = 0.19
_HEADROOM = 1.06


def draw_comparison(record: Record, folder: Path, stem: str) -> tuple[Path, Path]:
    """Writes `stem`.png and `stem`.svg: how fast each engine is on each model, the best peer being 1.

    Returns:
        The paths of both.

    Raises:
        DrawingError: matplotlib is not installed, or a file cannot be written.
    """
    counts = sorted({entry.cores for entry in record.comparisons})
    most = max(sum(entry.cores == cores for entry in record.comparisons) for cores in counts)
    width = max(7.0, 1.2 + most * (len(record.peers) + 1.6) * _INCHES_PER_BAR)
    drawn = figure(width, 0.7 + 2.9 * len(counts))
    ours = f"; DLFusion: {ours_text(record)}" if record.strategy_count > 1 else ""
    headline(drawn, f"Speed, best peer = 1 ({record.precision}{ours})", simulated=False)
    means = geometric_means(record)
    for index, cores in enumerate(counts):
        axes = drawn.add_subplot(len(counts), 1, index + 1)
        title = cores_text(cores)
        if cores in means:
            title += f"    DLFusion over the best peer on the paper's five models: {means[cores]:.2f} (geometric mean)"
        tidy(
            axes,
            title,
            "" if index + 1 < len(counts) else "model, and DLFusion's fastest run",
            "speed against the best peer",
        )
        axes.grid(visible=False, axis="x")
        _draw_panel(axes, [entry for entry in record.comparisons if entry.cores == cores], record.peers)
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, fontsize=8, frameon=False, ncols=len(labels), loc="outside lower center")
    return save(drawn, folder, stem)


def _draw_panel(axes: "Axes", comparisons: list[Comparison], peers: tuple[Engine, ...]) -> None:
    """One group of bars for each model: ours, then the peers; the height is the speed relative to the best peer's."""
    bar = _GROUP / (len(peers) + 1)
    ours: list[Engine | None] = [entry.best for entry in comparisons]
    series = [("DLFusion", OUR_COLOUR, ours)]
    for index, peer in enumerate(peers):
        colour = PEER_COLOURS[index % len(PEER_COLOURS)]
        series.append((peer.title, colour, [entry.peer(peer.name) for entry in comparisons]))
    for place, (label, colour, engines) in enumerate(series):
        left = [position + (place - len(peers) / 2) * bar for position in range(len(comparisons))]
        heights = [_speed(entry, engine) for entry, engine in zip(comparisons, engines, strict=True)]
        axes.bar(left, heights, bar * 0.94, color=colour, label=label)
        for x, height in zip(left, heights, strict=True):
            if place == 0 and height:
                axes.text(x, height, f"{height:.2f}", ha="center", va="bottom", fontsize=7.5, fontweight="bold")
            elif height == 0:
                axes.text(x, 0.02, "cannot run", ha="center", va="bottom", fontsize=6, rotation=90, color="#777777")
    axes.axhline(1, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xticks(range(len(comparisons)), [_label(entry) for entry in comparisons], fontsize=8)
    axes.set_xlim(-0.6, len(comparisons) - 0.4)
    axes.set_ylim(0, axes.get_ylim()[1] * _HEADROOM)


def _speed(comparison: Comparison, engine: Engine | None) -> float:
    """The best peer's fastest run over the engine's; 0 if it cannot run. Without peers, 1 for ours."""
    if engine is None or not engine.samples_seconds:
        return 0.0
    reference = comparison.best_peer or comparison.best
    return reference.minimum_seconds / engine.minimum_seconds


def _label(comparison: Comparison) -> str:
    return f"{comparison.model}\n{milliseconds(comparison.best.minimum_seconds)} ms"
