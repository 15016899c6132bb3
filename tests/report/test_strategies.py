"""Proves the arithmetic of speed-ups and regrets, and that tables, CSV and files say what is simulated."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.report.strategies import EXACT_NOTE, csv_text, duration, strategy_table, whole_number
from dlfusion.report.strategy_pages import write_comparison
from dlfusion.report.table import markdown
from tests.report.toy_comparison import FUSED, comparison, model_comparison, result, write


def test_speed_up_and_regret_are_of_the_fastest_runs_and_of_the_medians() -> None:
    model = model_comparison()
    ours = model.find("dlfusion")
    assert ours is not None
    speed, regret = model.speed_up(ours), model.regret(ours)
    assert speed is not None
    assert regret is not None
    assert speed.minimum == pytest.approx(8 / 2.2)
    assert speed.median == pytest.approx(9 / 2.5)
    assert regret.minimum == pytest.approx(0.1)
    assert regret.median == pytest.approx(0.25)
    assert model.excess(ours, ("baseline", "tuned")) == regret
    assert model.excess(ours, ("unknown",)) is None


def test_without_baseline_or_oracle_there_is_nothing_to_compare_with() -> None:
    model = replace(model_comparison(), results=(result("dlfusion", (1.0,), (), 1.0),))
    assert model.speed_up(model.results[0]) is None
    assert model.regret(model.results[0]) is None
    row = strategy_table(replace(comparison(), models=(model,))).rows[0]
    assert row[5:7] == ("", "")


def test_strategies_with_equal_plans_are_named() -> None:
    model = model_comparison()
    assert [model.twin(entry) for entry in model.results] == [None, None, None, "tuned"]
    assert strategy_table(comparison()).rows[3][2] == "oracle:3 (plan of tuned)"


def test_a_strategy_is_found_by_its_full_name_before_its_base_name() -> None:
    names = ("fixed-block:3", "fixed-block", "oracle:2", "oracle:4")
    model = replace(model_comparison(), results=tuple(result(name, (1.0,), (), 1.0) for name in names))
    found = [model.find(name) for name in ("fixed-block", "fixed-block:3", "oracle", "dp")]
    assert [entry and entry.strategy for entry in found] == ["fixed-block", "fixed-block:3", "oracle:2", None]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("dlfusion", "oracle:3"), {"speed-ups"}),
        (("baseline",), {"search"}),
        (("x.py",), {"speed-ups", "search"}),
        (("baseline", "fixed-block:3", "fixed-block"), set()),
    ],
)
def test_only_pictures_that_the_strategies_allow_are_drawn(
    names: tuple[str, ...], missing: set[str], tmp_path: Path
) -> None:
    results = tuple(result(name, (1.0,), FUSED, 1.0) for name in names)
    shown = replace(comparison(), models=(replace(model_comparison(), results=results),))
    page = write_comparison(shown, tmp_path, write)[0].read_text()
    for picture in ("speed-ups", "search", "blocks-toy"):
        name = f"{shown.stem}-{picture}.png"
        assert (f"({name})" in page) == (tmp_path / name).exists() == (picture not in missing)


def test_noise_is_the_difference_of_even_and_odd_runs() -> None:
    assert result("x", (2.0, 2.2, 3.0), (), 0.0).noise == pytest.approx(1 - 2 / 2.2)
    assert result("x", (2.0,), (), 0.0).noise == 0.0


@pytest.mark.parametrize(
    ("simulated", "word", "other"), [(True, "simulated", "measured"), (False, "measured", "simulated")]
)
def test_every_form_says_whether_numbers_are_simulated(simulated: bool, word: str, other: str, tmp_path: Path) -> None:
    shown = comparison(simulated)
    table = strategy_table(shown)
    assert word in table.title
    assert any(column.heading == f"{word} min ms" for column in table.columns)
    files = write_comparison(shown, tmp_path, write)
    assert all(word in path.name for path in files)
    assert {path.suffix for path in files} == {".md", ".csv", ".json", ".png", ".svg"}
    lines = list(csv.DictReader(io.StringIO((tmp_path / f"{shown.stem}.csv").read_text())))
    assert {line["simulated_or_measured"] for line in lines} == {word}
    assert f"{other} min ms" not in markdown(table)


def test_every_form_says_whether_plans_are_exact(tmp_path: Path) -> None:
    plain, exact = comparison(), replace(comparison(), exact=True)
    files = [{path.name for path in write_comparison(shown, tmp_path, write)} for shown in (plain, exact)]
    assert not files[0] & files[1]
    for shown, word in ((plain, "0"), (exact, "1")):
        page = (tmp_path / f"{shown.stem}.md").read_text()
        assert page.startswith("# Strategies on toy_npu, exact (sim") == shown.exact
        assert (EXACT_NOTE in page) == shown.exact
        assert json.loads((tmp_path / f"{shown.stem}.json").read_text())["exact"] is shown.exact
        assert {line["exact"] for line in csv.DictReader(io.StringIO(csv_text(shown)))} == {word}


def test_csv_has_every_number_in_full() -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(comparison()))))
    assert len(lines) == 8
    ours = lines[1]
    assert (ours["model"], ours["strategy"], ours["blocks"], ours["runs"]) == ("toy", "dlfusion", "2", "3")
    assert float(ours["minimum_seconds"]) == 0.0022
    assert float(ours["speed_up_minimum"]) == pytest.approx(8 / 2.2)
    assert float(ours["regret_median"]) == pytest.approx(0.25)


def test_json_has_samples_and_plans_and_can_be_read() -> None:
    document = json.loads(json.dumps(comparison().document()))
    entry = document["models"][0]["results"][1]
    assert entry["samples_seconds"] == [0.0025, 0.0022, 0.0030]
    assert [block["cores"] for block in entry["plan"]["blocks"]] == [4, 2]
    assert entry["speed_up"]["minimum"] == pytest.approx(8 / 2.2)
    assert document["models"][0]["oracle"]["measurements"] == 120


def test_the_page_shows_its_pictures_and_pictures_are_repeatable(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (write_comparison(comparison(), tmp_path / name, write) for name in ("a", "b"))
    page = first[0].read_text()
    for path in first:
        assert path.stat().st_size > 0
        assert path.suffix != ".png" or f"({path.name})" in page
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_notes_state_the_oracles_effort() -> None:
    text = " ".join(strategy_table(comparison()).notes)
    assert "120 blocks of up to 3 layers in 1 min" in text
    assert "1.0e40 plans" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7500.0, "2.08 h"), (90.0, "1.5 min"), (2.5, "2.5 s"), (0.0123, "12.3 ms"), (4e-5, "40 us")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_large_counts() -> None:
    assert (whole_number(999_999), whole_number(1_250_000)) == ("999,999", "1.2e6")
