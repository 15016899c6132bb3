"""`dlfusion compare`, `reproduce` and `explain --why` on a simulated machine, and how they refuse."""

import csv
import json
from pathlib import Path

import pytest

from dlfusion.cli.console import EXIT_USER_ERROR
from tests.cli.invoke import invoke, invoke_json

PLAIN = ("--strategies", "baseline,all-cores")


def refused(*arguments: str | Path) -> str:
    """The message of a command that must end with status 2 and print no result."""
    result = invoke(*arguments)
    assert result.exit_code == EXIT_USER_ERROR, result.output
    assert result.stdout == ""
    return " ".join(result.stderr.split())


def test_compare_prints_and_saves(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    result = invoke("compare", model, "--target", "mlu100", *PLAIN, "-o", folder, "--db", tmp_path / "db.sqlite3")
    assert result.exit_code == 0, result.output
    assert "Strategies on mlu100 (simulated, not measured)" in result.stdout
    assert "all-cores" in result.stdout
    (table,) = folder.glob("*.csv")
    with table.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["strategy"], row["simulated_or_measured"]) for row in rows] == [
        ("baseline", "simulated"), ("all-cores", "simulated")
    ]  # fmt: skip
    assert float(rows[1]["speed_up_minimum"]) > 0
    assert {path.suffix for path in folder.iterdir()} == {".md", ".csv", ".json", ".png", ".svg"}


def test_compare_prints_json(model: Path, tmp_path: Path) -> None:
    arguments = ("-t", "mlu100", *PLAIN, "--cores", "4", "-o", tmp_path, "--db", tmp_path / "db.sqlite3")
    document = invoke_json("compare", model, *arguments)
    (entry,) = document["models"]
    assert entry["model"] == model.stem
    assert [result["cores"] for result in entry["results"]] == [4, 4]
    assert document["simulated"] is True


def test_compare_refuses(model: Path, tmp_path: Path) -> None:
    rest = ("-o", tmp_path / "out", "--db", tmp_path / "db.sqlite3")
    assert "does not exist" in refused("compare", tmp_path / "none.onnx", *rest)
    assert "no target `guess`; choose one of cpu" in refused("compare", model, "-t", "guess", *rest)
    assert "no strategy `guess`" in refused("compare", model, "-t", "mlu100", "--strategies", "baseline,guess", *rest)
    assert "named twice" in refused("compare", model, "-t", "mlu100", "--strategies", "baseline,baseline", *rest)
    assert "at least one strategy" in refused("compare", model, "-t", "mlu100", "--strategies", ",", *rest)
    assert "cannot read" in refused("compare", model, "-t", "mlu100", *PLAIN, "--profile", tmp_path / "none", *rest)
    file = tmp_path / "file"
    file.write_text("")
    assert "name another with --output" in refused("compare", model, "-t", "mlu100", "-o", file)


def test_compare_says_how_to_get_matplotlib(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlfusion.report.plots.find_spec", lambda name: None)
    assert 'pip install "dlfusion[tuning]"' in refused("compare", model, "-t", "mlu100", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reproduce_refuses(tmp_path: Path) -> None:
    assert "no model `guess`" in refused("reproduce", "--models", "guess", "-o", tmp_path)
    assert "no target `guess`" in refused("reproduce", "-t", "guess", "-o", tmp_path)


@pytest.mark.parametrize("strategy", ["baseline", "fuse-all"])
def test_explain_why(model: Path, strategy: str) -> None:
    arguments = ("explain", model, "-t", "mlu100", "-s", strategy, "--why")
    document = invoke_json(*arguments)
    assert [boundary["after"] for boundary in document["why"]["boundaries"]] == [0, 1]
    assert document["why"]["boundaries"][1]["decided"] == "whole input"
    for row, block in zip(document["rows"], document["why"]["blocks"], strict=True):
        (chosen,) = (choice for choice in block["choices"] if choice["chosen"])
        assert chosen["cores"] == row["cores"]
        assert chosen["seconds"] == pytest.approx(row["predicted_seconds"])
    shown = invoke(*arguments, "--markdown").stdout
    assert "| 0\\|1 |" in shown
    assert json.dumps(document)  # no infinities
    terminal = invoke(*arguments).stdout
    assert "boundaries by" in terminal
    assert "32 cores us" in terminal
