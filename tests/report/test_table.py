"""Tables: shape is checked, Markdown is what GitHub reads, terminals get no markup surprises."""

import io

import pytest
from rich.console import Console

from dlfusion.report.table import Column, Table, markdown, terminal

COLUMNS = (Column("name", number=False), Column("ms"))


def test_markdown_aligns_numbers_and_escapes_bars() -> None:
    table = Table("title", COLUMNS, (("a|b", "1.0"),), ("A note.",))
    assert markdown(table) == "| name | ms |\n| --- | ---: |\n| a\\|b | 1.0 |\n\nA note.\n"


def test_a_row_of_another_length_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="has 1 cells, the table 2 columns"):
        Table("title", COLUMNS, (("only one",),))


def test_terminal_shows_cells_and_notes_literally() -> None:
    stream = io.StringIO()
    table = Table("[bold]t", COLUMNS, (("[red]x", "1.0"),), ("see [1]",))
    Console(file=stream, width=80).print(terminal(table))
    shown = stream.getvalue()
    assert "[bold]t" in shown
    assert "[red]x" in shown
    assert "see [1]" in shown


def test_terminal_never_breaks_numbers() -> None:
    stream = io.StringIO()
    Console(file=stream, width=24).print(
        terminal(Table("t", COLUMNS, (("words that must wrap somewhere", "1234567"),)))
    )
    assert "1234567" in stream.getvalue()
