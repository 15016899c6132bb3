"""The roofline of a model: one dot per layer under the machine's measured limits, one panel per core count.

After Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
CACM 2009.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.kind import Kind
from dlfusion.machine.rates import Level, Rates
from dlfusion.report.layers import CoreReport, MeasuredLayer, ModelReport
from dlfusion.report.plots import SERIES_COLOURS, figure, headline, require_matplotlib, save_png, tidy
from dlfusion.report.units import cores_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = dict(zip(Kind, SERIES_COLOURS, strict=False))
"""A colour for each sort of layers, the same in all pictures."""

MARKERS = {Algorithm.DIRECT: "o"}
WINOGRAD_MARKER = "^"
"""Layers that Winograd computes may stand above the peak: dots count the operations of the direct method."""

LABELLED = 6
"""Layers of each panel that are labelled with their number: those that take longest."""

_LARGEST_AREA = 420.0
_SMALLEST_AREA = 14.0
"""Of dots, in square points; the area is the layer's share of the time."""

_TEXT_DISTANCE = 1.1
"""Of the text beside a line, as a factor on the logarithmic axis."""

_PANEL_WIDTH = 6.2
_HEIGHT = 5.0
_ROOFS = (Level.MEMORY, Level.L3, Level.L2)


def draw_roofline(report: ModelReport, folder: Path, stem: str) -> Path:
    """Draws the panels side by side, on the same axes, into a PNG in an existing folder; returns its path.

    Raises:
        DrawingError: matplotlib is not installed, or the file cannot be written.
    """
    require_matplotlib()
    from matplotlib.lines import Line2D

    drawn = figure(_PANEL_WIDTH * len(report.cores), _HEIGHT)
    panels = drawn.subplots(1, len(report.cores), sharex=True, sharey=True, squeeze=False)[0]
    limits = _limits(report.cores)
    for axes, entry in zip(panels, report.cores, strict=True):
        _draw_panel(axes, entry, limits)
    kinds = [kind for kind in Kind if any(layer.work.kind is kind for layer in _drawn_layers(report.cores))]
    handles = [Line2D([], [], linestyle="", marker="o", color=COLOURS[kind], label=str(kind)) for kind in kinds]
    if any(layer.work.algorithm != Algorithm.DIRECT for layer in _drawn_layers(report.cores)):
        handles.append(Line2D([], [], linestyle="", marker=WINOGRAD_MARKER, color="#777777", label="by Winograd"))
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    title = f"{report.model}: every layer under the machine's limits (area: share of the time; numbers: longest layers)"
    headline(drawn, title, simulated=False)
    return save_png(drawn, folder, stem)


def _drawn_layers(reports: Sequence[CoreReport]) -> list[MeasuredLayer]:
    """Layers with arithmetic: the others have no place on logarithmic axes."""
    return [layer for report in reports for layer in report.layers if layer.work.operations > 0]


def _limits(reports: Sequence[CoreReport]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of intensity and of GFLOP/s that hold every dot and every corner of a roof, whole powers of two."""
    layers = _drawn_layers(reports)
    corners = [
        report.rates.operations_per_second / report.rates.read_bytes_per_second[Level.MEMORY] for report in reports
    ]
    intensities = [*(layer.work.intensity for layer in layers), *corners]
    heights = [*(layer.operations_per_second / 1e9 for layer in layers)]
    heights += [report.rates.operations_per_second / 1e9 for report in reports]
    return _powers(intensities), _powers(heights)


def _powers(values: Sequence[float]) -> tuple[float, float]:
    low, high = math.floor(math.log2(min(values) * 0.8)), math.ceil(math.log2(max(values) * 1.25))
    return 2.0**low, 2.0**high


def _draw_panel(axes: "Axes", report: CoreReport, limits: tuple[tuple[float, float], tuple[float, float]]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    _draw_roofs(axes, report.rates, limits)
    layers = sorted(_drawn_layers([report]), key=lambda layer: -layer.seconds)
    total = sum(layer.seconds for layer in report.layers)
    for layer in layers:
        axes.scatter(
            layer.work.intensity,
            layer.operations_per_second / 1e9,
            s=max(_SMALLEST_AREA, _LARGEST_AREA * min(1.0, 4 * layer.seconds / total)),
            marker=MARKERS.get(Algorithm(layer.work.algorithm), WINOGRAD_MARKER),
            color=COLOURS[layer.work.kind],
            alpha=0.75,
            linewidths=0.5,
            edgecolors="white",
            zorder=3,
        )
    _label(axes, layers[:LABELLED])
    tidy(
        axes,
        f"{cores_text(report.cores)}: {report.share:.0%} of the peak in all",
        "operations per byte of weights, input and output",
        "GFLOP/s (operations of the direct method)",
    )
    axes.xaxis.set_major_formatter(_number)
    axes.yaxis.set_major_formatter(_number)


def _number(value: float, position: float) -> str:
    del position
    return f"{value:g}"


def _draw_roofs(axes: "Axes", rates: Rates, limits: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """The peak, and for each place that bytes come from the line of its bandwidth up to the peak."""
    (left, _), (low, _) = limits
    peak = rates.operations_per_second / 1e9
    axes.axhline(peak, color="#333333", linewidth=1.4, zorder=2)
    axes.annotate(f"peak {peak:.0f} GFLOP/s", (left, peak), (5, 4), textcoords="offset points", fontsize=8)
    for shade, level in zip(("#333333", "#777777", "#aaaaaa"), _ROOFS, strict=True):
        bandwidth = rates.read_bytes_per_second[level] / 1e9
        start, corner = max(left, low / bandwidth), peak / bandwidth
        if start >= corner:
            continue
        axes.plot([start, corner], [start * bandwidth, peak], color=shade, linewidth=1.2, zorder=2)
        below = level is Level.MEMORY  # away from the line of the third-level cache, which is often near
        place = start * (corner / start) ** (0.42 if below else 0.12)
        height = place * bandwidth * (1 / _TEXT_DISTANCE if below else _TEXT_DISTANCE)
        axes.text(
            place,
            height,
            f"{level} {bandwidth:.0f} GB/s",
            va="top" if below else "bottom",
            rotation=math.degrees(math.atan2(height, place)),
            rotation_mode="anchor",
            transform_rotates_text=True,
            fontsize=8,
            color=shade,
        )


def _label(axes: "Axes", layers: Sequence[MeasuredLayer]) -> None:
    """Numbers under dots; layers that lie on one another share a text."""
    from matplotlib.patheffects import withStroke

    texts: list[tuple[float, float, list[int]]] = []
    for layer in layers:
        x, y = layer.work.intensity, layer.operations_per_second / 1e9
        near = next((text for text in texts if _near(text[0], x, 1.2) and _near(text[1], y, 0.6)), None)
        if near is None:
            texts.append((x, y, [layer.work.index]))
        else:
            near[2].append(layer.work.index)
    for x, y, indices in texts:
        axes.annotate(
            ", ".join(map(str, sorted(indices))),
            (x, y),
            (0, -17),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color="#333333",
            zorder=5,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _near(one: float, other: float, octaves: float) -> bool:
    """Whether two places on a logarithmic axis are so close that their texts would touch."""
    return abs(math.log2(one / other)) < octaves
