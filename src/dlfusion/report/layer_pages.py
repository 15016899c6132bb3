"""The page of one model's performance, and the page that lists all such pages."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlfusion.report.layer_tables import (
    LAYER_NOTES,
    blocks_table,
    gains_table,
    layers_table,
    rates_table,
)
from dlfusion.report.layers import ModelReport
from dlfusion.report.roofline import draw_roofline
from dlfusion.report.strategies import file_name
from dlfusion.report.table import Column, Table, markdown
from dlfusion.report.units import cores_text, milliseconds, percent


def write_page(report: ModelReport, folder: Path, write: Callable[[Path, str], None]) -> tuple[Path, Path]:
    """Writes a model's page with its picture into an existing folder.

    Args:
        report: what was measured.
        folder: where the files go, named after the model.
        write: writes a text file so that an interruption leaves the old one.

    Returns:
        The Markdown page and the picture.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    picture = draw_roofline(report, folder, f"{file_name(report.model)}-roofline")
    page = folder / f"{file_name(report.model)}.md"
    write(page, page_text(report, picture.name))
    return page, picture


def page_text(report: ModelReport, picture: str) -> str:
    """The page in Markdown; `picture` is the file name of the roofline."""
    parts = [
        f"# {report.model}: every layer against the machine's limits",
        f"![Roofline of {report.model}]({picture})",
        "## What fusion and cores gain",
        markdown(gains_table(report)),
        "## The machine's limits",
        markdown(rates_table(report)),
        "## Reading the tables of layers",
        "\n\n".join(LAYER_NOTES),
    ]
    for entry in report.cores:
        parts += [f"## {cores_text(entry.cores)}: layers", markdown(layers_table(entry))]
        if entry.blocks:
            parts += [f"## {cores_text(entry.cores)}: fused blocks", markdown(blocks_table(entry))]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def index_table(documents: Sequence[Mapping[str, Any]]) -> Table:
    """One row per model and core count, from the documents of `ModelReport.document`."""
    columns = (
        Column("model", number=False),
        Column("cores"),
        Column("planned ms"),
        Column("fusion gains"),
        Column("cores gain"),
        Column("of peak"),
        Column("layers below 80 %"),
    )
    rows = tuple(_index_row(document, entry) for document in documents for entry in document["cores"])
    return Table("All models", columns, rows)


def _index_row(document: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, ...]:
    model, layers = document["model"], entry["layers"]
    below = sum(bool(layer["reasons"]) for layer in layers)
    return (
        f"[{model}]({model}.md)",
        str(entry["cores"]),
        milliseconds(entry["planned"]["minimum_seconds"]),
        f"{entry['fusion_gain']:.3f}",
        f"{entry['core_gain']:.3f}",
        percent(entry["share_of_peak"]),
        f"{below} of {len(layers)}",
    )


def index_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """The page that lists all models, in Markdown."""
    machines = "; ".join(dict.fromkeys(document["machine"] for document in documents))
    return (
        "# How close every layer comes to the machine's limits\n\n"
        f"Measured on {machines}. Fusion gains: time of the same kernels with every layer alone on all cores, over the "
        "time of the plan. Cores gain: the model's time on the fewest cores that were measured, over the time. Of "
        "peak: operations of the direct method over those at the measured peak of as many cores; Winograd needs fewer. "
        "Each model's page names what holds back every layer below 80 % of the peak. Made by "
        "`python -m benchmarks.performance`.\n\n" + markdown(index_table(documents))
    )
