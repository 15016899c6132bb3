"""The scripts in `benchmarks/`: what they write where."""

from pathlib import Path

import pytest

import zoo
from benchmarks.table import BEGIN, END, MODELS, README, write_table


def test_only_the_text_between_the_marks_changes(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}old\n{END}\nafter\n")
    write_table(file, "| new |\n")
    write_table(file, "| newer |\n")
    assert file.read_text() == f"before\n{BEGIN}| newer |\n{END}\nafter\n"


def test_a_file_without_marks_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("no marks\n")
    with pytest.raises(ValueError, match="does not hold the marks"):
        write_table(file, "| new |\n")
    assert file.read_text() == "no marks\n"


def test_the_readme_has_the_marks_and_the_zoo_the_models() -> None:
    text = README.read_text(encoding="utf-8")
    assert BEGIN in text
    assert END in text.partition(BEGIN)[2]
    assert set(MODELS) <= set(zoo.NAMES)
