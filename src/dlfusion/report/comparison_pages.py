"""The page of a comparison with other engines: its picture and both of its tables."""

from collections.abc import Callable
from pathlib import Path

from dlfusion.report.comparison_figures import draw_comparison
from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.record import Record
from dlfusion.report.table import markdown

STEM = "comparison"
"""The name of the page's files, without their endings."""


def write_comparison(record: Record, folder: Path, write: Callable[[Path, str], None]) -> None:
    """Writes comparison.md, comparison.png and comparison.svg into an existing folder; `write` writes a text file.

    Raises:
        DrawingError: matplotlib is not installed, or a picture cannot be written.
    """
    draw_comparison(record, folder, STEM)
    parts = ["# DLFusion beside other engines", f"![Speed of every engine]({STEM}.svg)"]
    parts += [markdown(best_table(record)), "## Every engine", markdown(engine_table(record))]
    write(folder / f"{STEM}.md", "\n\n".join(part.rstrip("\n") for part in parts) + "\n")
