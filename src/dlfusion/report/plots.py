"""The style that all figures share: colours that colour-blind readers can tell apart, files equal byte for byte.

Matplotlib is optional, so it is imported inside the functions that need it.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dlfusion.errors import DlfusionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CORE_COLOURS = ("#c2df23", "#51c56a", "#1e9b8a", "#2d708e", "#433e85", "#440154")
"""From few cores to many: matplotlib's viridis, whose lightness falls evenly, so that it also works without colour."""

SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
"""For things without an order: the palette of Okabe and Ito, for people with any colour vision."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Beside the colours, so that series differ in print too."""

DOTS_PER_INCH = 144


_TEXT = "#333333"
_GRID = "#dddddd"


class DrawingError(DlfusionError):
    """Figures cannot be drawn here, or not be written there."""


def require_matplotlib() -> None:
    """Nothing, if figures can be drawn.

    Raises:
        DrawingError: matplotlib is not installed; the message says how to install it.
    """
    if find_spec("matplotlib") is None:
        raise DrawingError('Drawing figures needs matplotlib: pip install "dlfusion[tuning]".')


def figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches, whose parts are laid out without overlaps.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def tidy(axes: "Axes", title: str = "", x_label: str = "", y_label: str = "", *, grid: bool = True) -> None:
    """Labels for both axes (with their units), no box around them, and light lines to read values by."""
    axes.set_title(title, loc="left", fontsize=10, color=_TEXT)
    axes.set_xlabel(x_label, fontsize=9, color=_TEXT)
    axes.set_ylabel(y_label, fontsize=9, color=_TEXT)
    axes.tick_params(labelsize=8, colors=_TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color=_GRID, linewidth=0.6)


def headline(drawn: "Figure", text: str, *, simulated: bool) -> None:
    """The figure's title; where a simulator stood for the device, it says so in the same line."""
    suffix = "  (simulated, not measured on hardware)" if simulated else ""
    drawn.suptitle(text + suffix, x=0.01, ha="left", fontsize=11, fontweight="bold", color=_TEXT)


def core_colours(core_counts: Sequence[int]) -> dict[int, str]:
    """A colour for each core count, evenly spaced on the scale of `CORE_COLOURS`: the most cores are the darkest."""
    counts = sorted(core_counts)
    steps = max(len(counts) - 1, 1)
    return {count: _on_scale(position / steps) for position, count in enumerate(counts)}


def _on_scale(place: float) -> str:
    """The colour at a place between 0 and 1, mixed from its two neighbours on the scale."""
    position = place * (len(CORE_COLOURS) - 1)
    lower = min(int(position), len(CORE_COLOURS) - 2)
    share = position - lower
    pairs = zip(_channels(CORE_COLOURS[lower]), _channels(CORE_COLOURS[lower + 1]), strict=True)
    return "#" + "".join(f"{round(low + (high - low) * share):02x}" for low, high in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of `#rrggbb`, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def save(drawn: "Figure", folder: Path, stem: str) -> tuple[Path, Path]:
    """Writes `stem`.png and `stem`.svg into an existing folder, each whole or not at all; equal figures, equal bytes.

    Returns:
        The paths of both.

    Raises:
        DrawingError: a file cannot be written.
    """
    import matplotlib as mpl

    svg = folder / f"{stem}.svg"
    # Without these settings, files carry the date, the program's version, and random identifiers.
    with mpl.rc_context({"svg.hashsalt": "dlfusion", "svg.fonttype": "path"}):
        png = save_png(drawn, folder, stem)
        _save_whole(drawn, svg, {"Date": None, "Creator": None})
    return png, svg


def save_png(drawn: "Figure", folder: Path, stem: str) -> Path:
    """Writes `stem`.png alone, as `save` does: for pictures of so many marks that an SVG would be large.

    Raises:
        DrawingError: the file cannot be written.
    """
    png = folder / f"{stem}.png"
    _save_whole(drawn, png, {"Software": None})
    return png


def _save_whole(drawn: "Figure", path: Path, metadata: dict[str, str | None]) -> None:
    """Write beside the file and put it in place when it is complete: an interruption leaves the old one."""
    part = path.with_name(f".{path.name}.part")
    try:
        drawn.savefig(part, format=path.suffix[1:], metadata=metadata)
        part.replace(path)
    except OSError as error:
        raise DrawingError(f"cannot write the figure {path}: {error.strerror}; name another folder") from error
    finally:
        part.unlink(missing_ok=True)
