"""A table as data, and its two renderings: for a terminal and as Markdown."""

from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; numbers stand at the right, words at the left."""

    heading: str
    number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of ready text. Every row has one cell per column; notes are sentences for under the table.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} has {len(row)} cells, the table {len(self.columns)} columns")


def terminal(table: Table) -> RichTable:
    """The table for a terminal; columns of words wrap where the terminal is narrow, numbers never do."""
    drawn = RichTable(title=Text(table.title), title_justify="left", caption_justify="left")
    if table.notes:
        drawn.caption = Text("\n".join(table.notes))
    for column in table.columns:
        drawn.add_column(column.heading, justify="right" if column.number else "left", no_wrap=column.number)
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def markdown(table: Table) -> str:
    """The table as GitHub Markdown, without its title, ending in a line break."""
    lines = [
        _line([column.heading for column in table.columns]),
        _line(["---:" if column.number else "---" for column in table.columns]),
        *(_line([cell.replace("|", "\\|") for cell in row]) for row in table.rows),
    ]
    lines += [part for note in table.notes for part in ("", note)]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
