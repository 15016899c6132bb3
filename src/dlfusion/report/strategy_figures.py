"""Pictures of a comparison of strategies: speed-ups, search times, and where each strategy cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlfusion.report.plots import SERIES_COLOURS, core_colours, figure, headline, save, tidy
from dlfusion.report.strategies import (
    BASELINE,
    ORACLE,
    Comparison,
    ModelComparison,
    StrategyResult,
    base_name,
    duration,
)
from dlfusion.report.units import milliseconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR_GROUP = 0.84
"""Width of all bars of one model, where the next model stands 1.0 further right."""

_SEARCHING = ("dlfusion", "fixed-block", "dp", "tuned", ORACLE)
"""Strategies whose search times are drawn."""

_STRIP_HEIGHT = 0.72
_DIGIT_SHARE = 0.008
"""A digit's share of the picture's width: blocks that are narrower than their number of cores go without it."""


def draw_speed_ups(
    comparison: Comparison, folder: Path, stem: str, published: tuple[float, float] | None = None
) -> tuple[Path, ...]:
    """Bars of every strategy's speed-up over the baseline, model by model; a band shows a published range.

    Returns:
        The paths of the PNG and of the SVG file; nothing is drawn where a model has no baseline.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    if not all(model.find(BASELINE) for model in comparison.models):
        return ()
    names = _strategies(comparison)
    drawn = figure(max(6.0, 1.6 + 0.22 * len(names) * len(comparison.models)), 4.2)
    axes = drawn.add_subplot()
    if published is not None:
        words = f"published: {published[0]:g}x to {published[1]:g}x"
        axes.axhspan(*published, color="#000000", alpha=0.09, linewidth=0, label=words)
    axes.axhline(1, color="#333333", linewidth=0.8)
    width = _BAR_GROUP / len(names)
    for place, name in enumerate(names):
        found = [(at, model, result) for at, model in enumerate(comparison.models) if (result := model.find(name))]
        left = [at - _BAR_GROUP / 2 + (place + 0.5) * width for at, _, _ in found]
        ratios = [model.speed_up(result) for _, model, result in found]
        heights = [0.0 if ratio is None else ratio.minimum for ratio in ratios]
        bars = axes.bar(left, heights, width * 0.9, label=name, color=_colour(comparison, name))
        axes.bar_label(bars, [f"{height:.1f}" for height in heights], padding=1, fontsize=6, rotation=90)
    axes.set_xticks(range(len(comparison.models)), [model.model for model in comparison.models])
    axes.set_xlim(-0.5, len(comparison.models) - 0.5)
    axes.margins(y=0.12)
    tidy(axes, y_label=f"speed-up over {BASELINE}")
    axes.grid(visible=False, axis="x")
    drawn.legend(loc="outside lower center", ncols=5 if len(names) > 5 else 3, fontsize=8, frameon=False)
    headline(drawn, f"Speed-up on {comparison.subject}", simulated=comparison.simulated)
    return save(drawn, folder, stem)


def draw_search_times(comparison: Comparison, folder: Path, stem: str) -> tuple[Path, ...]:
    """Bars, on a logarithmic scale, of how long each strategy searched; below, the oracle's time over `dlfusion`'s.

    Returns:
        The paths of the PNG and of the SVG file; nothing is drawn where no strategy searches.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    names = [name for name in _strategies(comparison) if base_name(name) in _SEARCHING]
    if not names:
        return ()
    names.sort(key=lambda name: _SEARCHING.index(base_name(name)))
    drawn = figure(max(6.0, 1.6 + 0.3 * len(names) * len(comparison.models)), 3.8)
    axes = drawn.add_subplot()
    width = _BAR_GROUP / len(names)
    for place, name in enumerate(names):
        found = [(at, result) for at, model in enumerate(comparison.models) if (result := model.find(name))]
        left = [at - _BAR_GROUP / 2 + (place + 0.5) * width for at, _ in found]
        seconds = [result.search_seconds for _, result in found]
        bars = axes.bar(left, seconds, width * 0.9, label=name, color=_colour(comparison, name))
        axes.bar_label(bars, [duration(value) for value in seconds], padding=2, fontsize=6, rotation=90)
    axes.set_yscale("log")
    axes.set_xticks(range(len(comparison.models)), [_with_factor(model) for model in comparison.models])
    axes.set_xlim(-0.5, len(comparison.models) - 0.5)
    axes.margins(y=0.22)
    tidy(axes, y_label="search time (s, logarithmic)")
    axes.grid(visible=False, axis="x")
    drawn.legend(loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
    headline(drawn, f"Search time on {comparison.subject}", simulated=comparison.simulated)
    return save(drawn, folder, stem)


def draw_strips(comparison: Comparison, model: ModelComparison, folder: Path, stem: str) -> tuple[Path, Path]:
    """One strip per strategy: layers from left to right, a box per block, its colour the number of cores.

    Returns:
        The paths of the PNG and of the SVG file.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    from matplotlib.patches import Patch

    colours = core_colours(_core_counts(comparison.models))
    counts = _core_counts((model,))
    drawn = figure(11.0, 1.3 + 0.36 * len(model.results))
    axes = drawn.add_subplot()
    for row, result in enumerate(model.results):
        _draw_strip(axes, row, result, model.layers, colours)
    axes.set_xlim(-0.5, model.layers - 0.5)
    axes.set_ylim(len(model.results) - 0.5, -0.5)
    axes.set_yticks(range(len(model.results)), [_with_blocks(result) for result in model.results])
    tidy(axes, x_label="layer", grid=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(model.results)), [_with_speed(model, result) for result in model.results])
    right.tick_params(length=0, labelsize=8)
    right.spines["right"].set_visible(False)
    swatches = [Patch(color=colours[count], label=f"{count} core{'s' if count > 1 else ''}") for count in counts]
    drawn.legend(handles=swatches, loc="outside lower center", ncols=len(counts), fontsize=8, frameon=False)
    title = f"{model.model} on {comparison.subject}: blocks and their cores"
    headline(drawn, title, simulated=comparison.simulated)
    return save(drawn, folder, stem)


def _draw_strip(axes: "Axes", row: int, result: StrategyResult, layers: int, colours: dict[int, str]) -> None:
    gap = 0.0012 * layers
    for block in result.plan.blocks:
        width = len(block.layers)
        axes.barh(
            row,
            width - 2 * gap,
            left=block.first - 0.5 + gap,
            height=_STRIP_HEIGHT,
            color=colours[block.cores],
            linewidth=0,
        )
        if width / layers >= _DIGIT_SHARE * len(str(block.cores)):
            axes.text(
                *((block.first + block.last) / 2, row),
                str(block.cores),
                **_small("center", "center") | {"color": _ink(colours[block.cores])},
            )


def _core_counts(models: Sequence[ModelComparison]) -> list[int]:
    """All core counts of the models' blocks, ascending."""
    return sorted({block.cores for model in models for result in model.results for block in result.plan.blocks})


def _ink(colour: str) -> str:
    """White on dark colours, black on light ones."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _small(horizontal: str, vertical: str) -> dict[str, Any]:
    return {"fontsize": 7, "ha": horizontal, "va": vertical, "color": "#333333"}


def _strategies(comparison: Comparison) -> list[str]:
    """All strategies of the comparison in order, without the baseline unless it is alone."""
    names = dict.fromkeys(result.strategy for model in comparison.models for result in model.results)
    return [name for name in names if name != BASELINE] or [BASELINE]


def _colour(comparison: Comparison, strategy: str) -> str:
    """The strategy's colour, the same in all pictures of a comparison."""
    return SERIES_COLOURS[_strategies(comparison).index(strategy) % len(SERIES_COLOURS)]


def _with_factor(model: ModelComparison) -> str:
    ours, oracle = model.find("dlfusion"), model.find(ORACLE)
    if ours is None or oracle is None:
        return model.model
    return f"{model.model}\noracle / dlfusion: {oracle.search_seconds / ours.search_seconds:,.0f}"


def _with_blocks(result: StrategyResult) -> str:
    return f"{result.strategy} ({result.blocks} block{'s' if result.blocks > 1 else ''})"


def _with_speed(model: ModelComparison, result: StrategyResult) -> str:
    speed = model.speed_up(result)
    suffix = "" if speed is None else f", {speed.minimum:.2f}x"
    return f"{milliseconds(result.minimum)} ms{suffix}"
