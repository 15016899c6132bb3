"""Files of a comparison of strategies: a Markdown page with its pictures, CSV and JSON."""

import json
from collections.abc import Callable
from pathlib import Path

from dlfusion.report.strategies import Comparison, csv_text, file_name, strategy_table
from dlfusion.report.strategy_figures import draw_search_times, draw_speed_ups, draw_strips
from dlfusion.report.table import markdown


def write_comparison(comparison: Comparison, folder: Path, write: Callable[[Path, str], None]) -> tuple[Path, ...]:
    """Writes a comparison into an existing folder; the name of every file says whether its numbers are simulated.

    Args:
        comparison: what was found.
        folder: where the files go.
        write: writes a text file so that an interruption leaves the old one.

    Returns:
        The Markdown page first, then all other files.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    stem = comparison.stem
    files = [
        *draw_speed_ups(comparison, folder, f"{stem}-speed-ups"),
        *draw_search_times(comparison, folder, f"{stem}-search"),
    ]
    for model in comparison.models:
        files += draw_strips(comparison, model, folder, f"{stem}-blocks-{file_name(model.model)}")
    shown = [f"![{path.stem}]({path.name})" for path in files if path.suffix == ".png"]
    page = "\n\n".join((f"# {comparison.title}", markdown(strategy_table(comparison)).rstrip("\n"), *shown)) + "\n"
    texts = {"md": page, "csv": csv_text(comparison), "json": json.dumps(comparison.document(), indent=1) + "\n"}
    for ending, text in texts.items():
        write(folder / f"{stem}.{ending}", text)
    return (*(folder / f"{stem}.{ending}" for ending in texts), *files)
