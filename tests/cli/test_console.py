"""Progress: one line a stage where nobody watches, bars that end when the next stage begins, silence for machines."""

import io
import json
import sys
import threading
import warnings

import pytest
from rich.console import Console
from rich.progress import Progress

from dlfusion.cli.console import bars_callback, guarded, print_json, progress
from dlfusion.errors import PlanWarning


def test_each_stage_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as advance:
        advance("build", 0, 2)
        advance("build", 1, 2)
        advance("[check]", 0, 1)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["build ...", "[check] ..."]
    assert captured.out == ""


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as advance:
        advance("build", 0, 2)
    assert capsys.readouterr() == ("", "")


def test_a_new_stage_ends_the_one_before() -> None:
    bars = Progress(console=Console(file=io.StringIO()))
    advance = bars_callback(bars)
    advance("import", 0, 1)
    advance("build", 3, 9)
    assert [(task.description, task.completed) for task in bars.tasks] == [("import", 1), ("build", 3)]


def test_bars_are_drawn_when_something_advances_and_by_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    before = threading.active_count()
    with progress() as advance:
        advance("measure", 0, 7)
        assert threading.active_count() == before
        assert "0/7" in screen.getvalue()


def test_a_warning_is_one_line_and_is_shown_once_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def command() -> None:
        for _ in range(3):
            warnings.warn("the [profile] is of another machine", PlanWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(2):
            command()
    assert capsys.readouterr().err.splitlines() == ["warning: the [profile] is of another machine"] * 2


def test_json_has_null_for_what_json_cannot_say(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"scores": [1.5, float("nan")], "range": (float("inf"), 2)})
    assert json.loads(capsys.readouterr().out) == {"scores": [1.5, None], "range": [None, 2]}


def test_json_is_one_document_with_readable_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"größe": 1})
    assert capsys.readouterr().out == '{\n  "größe": 1\n}\n'
