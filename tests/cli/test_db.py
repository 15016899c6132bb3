"""`dlfusion db`: listing, moving and forgetting measurements."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dlfusion.cli.db import app
from dlfusion.machine import host
from dlfusion.runtime.measure import Setting
from dlfusion.tuning.store import Entry, Store

OTHER = Setting("another CPU; 8 cores", "g++ 11", ("-O3",), "kernels 1")
HERE = Setting(host().fingerprint, "g++ 12", ("-O3",), "kernels 1")
SIMULATED = Setting("mlu100; 32 cores; numbers 12", library="simulator 1")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "tuning.sqlite3"
    with Store(path) as store:
        store.add_all(OTHER, [Entry("a", "a block elsewhere", (2e-3, 1e-3), 0.0)])
        store.add_all(HERE, [Entry("a", "a block here", (1e-3,), 86400.0), Entry("b", "another", (3e-3,), 4e9)])
        store.add_all(SIMULATED, [Entry("a", "a simulated block", (1e-6,), 4e9)])
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def settings_of(path: Path) -> dict[str, int]:
    """Structures by machine."""
    with Store(path) as store:
        return {holding.setting.machine: holding.structures for holding in store.holdings()}


def test_settings_are_listed_with_what_they_hold(database: Path) -> None:
    listed = json.loads(invoke("list", "--db", database, "--json").stdout)
    assert [(row["setting"], row["machine"], row["structures"], row["samples"]) for row in listed] == [
        (1, OTHER.machine, 1, 2),
        (2, HERE.machine, 2, 2),
        (3, SIMULATED.machine, 1, 1),
    ]
    assert listed[1]["first_at"] == "1970-01-02 00:00:00"
    assert listed[1]["flags"] == ["-O3"]
    table = invoke("list", "--db", database).stdout
    assert "another CPU" in table
    assert "simulated" in table


def test_measurements_of_one_setting_are_listed(database: Path) -> None:
    listed = json.loads(invoke("list", "--db", database, "--setting", "1", "--json").stdout)
    assert listed == [
        {"structure": "a", "label": "a block elsewhere", "samples": [2e-3, 1e-3], "measured_at": "1970-01-01 00:00:00"}
    ]
    table = invoke("list", "--db", database, "--setting", "1").stdout
    assert "a block elsewhere" in table
    assert "1.00" in table
    refused = invoke("list", "--db", database, "--setting", "7")
    assert refused.exit_code == 2
    assert "has no setting 7; there are: 1, 2, 3" in refused.stderr


def test_an_export_can_be_imported_elsewhere(database: Path, tmp_path: Path) -> None:
    exported, other = tmp_path / "all.jsonl", tmp_path / "other.sqlite3"
    assert "4 measurements written" in invoke("export", exported, "--db", database).stderr
    assert "4 of 4 measurements added" in invoke("import", exported, "--db", other).stderr
    assert "0 of 4 measurements added" in invoke("import", exported, "--db", other).stderr
    assert settings_of(other) == settings_of(database)


def test_a_file_that_is_no_export_is_refused(database: Path, tmp_path: Path) -> None:
    notes, missing = tmp_path / "notes.txt", tmp_path / "missing.jsonl"
    notes.write_text("notes\n")
    for file, message in ((notes, "line 1 is not JSON"), (missing, "does not exist"), (database, "cannot read")):
        result = invoke("import", file, "--db", database)
        assert result.exit_code == 2
        assert message in result.stderr
    assert sum(settings_of(database).values()) == 4


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--setting", "1"], {HERE.machine: 2, SIMULATED.machine: 1}),
        (["--older-than", "365"], {HERE.machine: 1, SIMULATED.machine: 1}),
        (["--other-machines"], {HERE.machine: 2, SIMULATED.machine: 1}),
        (["--other-machines", "--setting", "2"], {OTHER.machine: 1, HERE.machine: 2, SIMULATED.machine: 1}),
        (["--older-than", "365", "--setting", "2"], {OTHER.machine: 1, HERE.machine: 1, SIMULATED.machine: 1}),
    ],
)
def test_pruning_keeps_what_does_not_meet_all_conditions(
    database: Path, arguments: list[str], left: dict[str, int]
) -> None:
    result = invoke("prune", "--db", database, *arguments)
    assert result.exit_code == 0
    assert settings_of(database) == left
    assert f"{4 - sum(left.values())} measurements forgotten" in result.stderr


def test_an_age_that_is_no_number_forgets_nothing(database: Path) -> None:
    result = invoke("prune", "--db", database, "--older-than", "nan")
    assert result.exit_code == 2
    assert sum(settings_of(database).values()) == 4


def test_pruning_needs_a_condition(database: Path) -> None:
    result = invoke("prune", "--db", database)
    assert result.exit_code == 2
    assert "say what to forget" in result.stderr
    assert sum(settings_of(database).values()) == 4


def test_a_database_that_is_named_must_be_there(tmp_path: Path) -> None:
    for command in (["list"], ["export", str(tmp_path / "x.jsonl")], ["prune", "--setting", "1"]):
        result = invoke(*command, "--db", tmp_path / "missing.sqlite3")
        assert result.exit_code == 2
        assert "does not exist, expected a tuning database" in result.stderr
    assert list(tmp_path.iterdir()) == []
