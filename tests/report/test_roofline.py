"""The picture of a model's layers under the machine's limits."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.layers.kind import Kind
from dlfusion.report import plots
from dlfusion.report.layers import ModelReport
from dlfusion.report.roofline import COLOURS, draw_roofline
from tests.report.toy_layers import model_report


def drawn_figure(monkeypatch: pytest.MonkeyPatch, report: ModelReport, folder: Path) -> "object":
    """The figure that was drawn, instead of only its file."""
    figures = []
    original = plots.figure

    def remember(width: float, height: float) -> object:
        figures.append(original(width, height))
        return figures[-1]

    monkeypatch.setattr("dlfusion.report.roofline.figure", remember)
    draw_roofline(report, folder, "toy")
    return figures[0]


def test_a_dot_for_each_layer_with_arithmetic_inside_the_axes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = model_report()
    figure = drawn_figure(monkeypatch, report, tmp_path)
    assert len(figure.axes) == len(report.cores)  # type: ignore[attr-defined]
    for axes, entry in zip(figure.axes, report.cores, strict=True):  # type: ignore[attr-defined]
        dots = [tuple(collection.get_offsets()[0]) for collection in axes.collections]
        layers = sorted(entry.layers[:2], key=lambda layer: -layer.seconds)
        assert dots == [pytest.approx((layer.work.intensity, layer.operations_per_second / 1e9)) for layer in layers], (
            "concatenation computes nothing"
        )
        left, right = axes.get_xlim()
        low, high = axes.get_ylim()
        assert all(left < x < right and low < y < high for x, y in dots)
        roofs = [line for line in axes.lines if len(set(line.get_ydata())) == 2]
        for line, bandwidth in zip(
            roofs,
            reversed(list(entry.rates.read_bytes_per_second.values())),
            strict=False,
        ):
            x, y = line.get_xdata()[-1], line.get_ydata()[-1]
            assert y == pytest.approx(entry.rates.operations_per_second / 1e9)
            assert x * bandwidth / 1e9 == pytest.approx(y), "a roof ends where the bandwidth feeds the peak"


def test_winograd_has_a_mark_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = model_report()
    one = report.cores[0]
    layer = replace(one.layers[0], work=replace(one.layers[0].work, algorithm="winograd4"))
    changed = replace(report, cores=(replace(one, layers=(layer, *one.layers[1:])),))
    figure = drawn_figure(monkeypatch, changed, tmp_path)
    (legend,) = figure.legends  # type: ignore[attr-defined]
    assert [text.get_text() for text in legend.get_texts()] == ["dense convolution", "pool", "by Winograd"]


def test_equal_reports_give_equal_pictures(tmp_path: Path) -> None:
    first, second = (draw_roofline(model_report(), tmp_path, stem).read_bytes() for stem in ("one", "two"))
    assert first == second


def test_every_sort_of_layers_has_its_colour() -> None:
    assert len({COLOURS[kind] for kind in Kind}) == len(Kind)
    assert all(math.isfinite(int(colour[1:], 16)) for colour in COLOURS.values())


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(plots.DrawingError, match=r"dlfusion\[tuning\]"):
        draw_roofline(model_report(), tmp_path, "toy")
