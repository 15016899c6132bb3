"""`dlfusion characterize`: what it prints and writes, apart from measuring, which tests/characterization proves."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from dlfusion import driver
from dlfusion.characterization import insight
from dlfusion.cli.characterize import characterize
from dlfusion.cli.console import EXIT_USER_ERROR, guarded
from dlfusion.cli.start import EXIT_INTERRUPTED
from dlfusion.cost.profile import Profile
from dlfusion.report.characterization import PAGE
from tests.support.toy_profiles import INSIGHT, toy_profile


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(guarded(characterize))
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments that the driver was called with; it answers with a toy profile."""
    found: list[dict[str, Any]] = []

    def fake(target: str, **arguments: Any) -> Profile:
        found.append({"target": target, **arguments})
        arguments["progress"]("measure layers and chains", 1, 2)
        return toy_profile()

    monkeypatch.setattr(driver, "characterize", fake)
    monkeypatch.setattr(insight, "insight", lambda samples: INSIGHT)
    return found


def test_a_simulated_machine_end_to_end(tmp_path: Path) -> None:
    arguments = (
        "--target",
        "mlu100",
        "--grid",
        "small",
        "--db",
        tmp_path / "db",
        "-o",
        tmp_path / "new" / "profile.json",
    )
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    profile = Profile.from_json((tmp_path / "new" / "profile.json").read_text(encoding="utf-8"))
    assert profile.simulated
    assert profile.target == "mlu100"
    assert {sample.cores for sample in profile.samples} == {1, 2, 4, 8, 16, 32}
    text = " ".join(result.stdout.split())
    for part in (
        "Simulated:",
        "median error",
        "critical operation count",
        "rule for a layer's core count",
        "Fusing pays",
    ):
        assert part in text
    assert run(*arguments).stdout == result.stdout


def test_options_reach_the_driver(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    result = run("--target", "toy.toml", "--grid", "large", "--db", tmp_path / "db", "--output", tmp_path / "p.json")
    assert result.exit_code == 0, result.output
    (call,) = calls
    assert (call["target"], call["grid"]) == ("toy.toml", "large")
    assert (call["database"], call["output"]) == (tmp_path / "db", tmp_path / "p.json")
    assert "measure layers and chains" in result.stderr


def test_profile_goes_where_plans_look_for_it(calls: list[dict[str, Any]]) -> None:
    result = run("--target", "mlu100")
    assert result.exit_code == 0, result.output
    assert calls[0]["output"].name == "mlu100.json"
    assert calls[0]["grid"] == "default"
    assert str(calls[0]["output"]) in result.stdout


@pytest.mark.usefixtures("calls")
def test_report_is_written_and_named(tmp_path: Path) -> None:
    result = run("--target", "mlu100", "-o", tmp_path / "p.json", "--report", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "report" / PAGE).is_file()
    assert str(tmp_path / "report" / PAGE) in result.stdout


def test_mistakes_are_named_before_anything_is_measured(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, part in (
        (("--grid", "huge"), "small, default, large"),
        (("--report", tmp_path / "file"), "name another with --report"),
        (("--target", "no-such-machine"), "no-such-machine"),
    ):
        result = run(*arguments)
        assert result.exit_code == EXIT_USER_ERROR
        assert part in result.stderr
    assert calls == []


def test_interruption_says_that_the_next_run_continues(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(target: str, **arguments: Any) -> Profile:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "characterize", interrupted)
    result = run("--target", "mlu100", "-o", tmp_path / "p.json")
    assert result.exit_code == EXIT_INTERRUPTED
    assert "the same command continues" in result.stderr
