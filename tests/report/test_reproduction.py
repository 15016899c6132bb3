"""Proves that the page's sentences follow from its numbers, whatever they are, and that it stands on its own."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.report.claims import claims, explanation
from dlfusion.report.reproduction import (
    AccuracyRow,
    Reproduction,
    Sensitivity,
    SensitivityRow,
    TargetPart,
    sensitivity_sentences,
    sensitivity_table,
    write_page,
)
from dlfusion.report.strategies import EXACT_NOTE, Comparison, Shares
from dlfusion.search.choices import REDUCTION
from tests.report.toy_comparison import comparison, write

ROWS = (
    SensitivityRow("none changed", 1.0, 1.0, "", "", (("toy", 4.0, 0.01), ("second", 6.0, 0.02))),
    SensitivityRow("launch", 0.5, 5.0, "us", "a guess", (("toy", 4.5, 0.03), ("second", 6.5, None))),
    SensitivityRow("launch", 2.0, 20.0, "us", "a guess", (("toy", 2.0, 0.07), ("second", 3.0, -0.01))),
)


def reproduction() -> Reproduction:
    accuracy = (AccuracyRow("toy", "fitted 1", 12, 0.05, 0.2, 0.98),)
    simulated = TargetPart(comparison(), accuracy, Sensitivity("Found by simulating.", ROWS))
    return Reproduction((simulated, TargetPart(replace(comparison(simulated=False), target="cpu"))))


def with_speed(factor: float, shares: Shares | None = None) -> Comparison:
    """The toy comparison with a `dlfusion` that is `factor` times as fast as the baseline."""
    models = []
    for model in comparison().models:
        changed = [
            replace(result, samples=(0.008 / factor,), shares=shares or result.shares)
            if result.strategy == "dlfusion"
            else result
            for result in model.results
        ]
        models.append(replace(model, results=tuple(changed)))
    return replace(comparison(), target="mlu100", models=tuple(models))


@pytest.mark.parametrize(("factor", "word"), [(2.0, "below"), (3.6, "inside"), (5.0, "inside"), (8.5, "above")])
def test_speed_ups_are_placed_against_the_published_range(factor: float, word: str) -> None:
    first = next(explanation(with_speed(factor)))
    assert first.startswith(f"toy: {factor:.2f}x over the baseline, {word} the published 3.6x to 7.9x.")


def test_other_devices_are_not_placed_against_what_was_published_of_one() -> None:
    first = next(explanation(replace(with_speed(5.0), target="cocco")))
    assert first.startswith("toy: 5.00x over the baseline. The baseline computes")
    assert "published" not in first


@pytest.mark.parametrize(
    ("shares", "limit"),
    [
        (Shares(0.6, 0.3, 0.2), "launching and synchronising blocks"),
        (Shares(0.1, 0.3, 0.8), "the busiest memory channel"),
        (Shares(0.1, 0.9, 0.2), "the busiest core's arithmetic"),
    ],
)
def test_the_explanation_names_what_takes_most_of_the_time(shares: Shares, limit: str) -> None:
    text = next(explanation(with_speed(5.0, shares)))
    assert text.endswith(f"What limits it most is {limit}.")
    assert f"starts take {shares.starts * 100:.1f} %" in text


def test_claims_are_met_or_not_by_the_numbers() -> None:
    found = {claim.what: claim for claim in claims(comparison())}
    worst = found["regret of `dlfusion` against the oracle, every model"]
    assert (worst.found, worst.met) == ("10.0 % (toy)", False)  # 0.0022 / 0.002 is a little more than 1.1
    mean = found["regret of `dlfusion` against the oracle, mean"]
    assert (mean.found, mean.met) == ("10.0 %", False)
    search = found["search of `dlfusion` against the oracle's, every model"]
    assert (search.found, search.met) == ("3,000 times (second/toy)", True)
    assert all(claim.met for claim in claims(with_speed(4.0)))
    assert not any("tuned" in what for what in found)


def test_measured_targets_have_claims_of_their_own() -> None:
    measured = comparison(simulated=False)
    found = {claim.what: claim for claim in claims(measured)}
    assert found["regret of `tuned` against the oracle, every model"].met
    promise = found["`tuned` never slower than the fastest unfused plan"]
    assert (promise.met, promise.found) == (True, "75.0 % faster at least (toy)")
    slow = tuple(
        replace(
            model,
            results=tuple(
                replace(result, samples=(0.0088, 0.0088))
                if result.strategy == "tuned"
                else replace(result, samples=(0.008, 0.00816))
                for result in model.results
            ),
        )
        for model in measured.models
    )
    promise = claims(replace(measured, models=slow))[-1]
    assert (promise.met, promise.found) == (False, "10.0 % slower at noise 2.0 % (toy)")


def test_times_of_an_oracle_that_found_measurements_are_called_lower_bounds(tmp_path: Path) -> None:
    for reused in (0, 3):
        model = comparison().models[0]
        results = (*model.results[:-1], replace(model.results[-1], reused=reused))
        shown = replace(comparison(), models=(replace(model, results=results),))
        write_page(Reproduction((TargetPart(shown),)), tmp_path, write)
        assert ("its times are lower bounds" in (tmp_path / "reproduction.md").read_text()) == (reused > 0)


def test_sensitivity_sentences_name_the_strongest_number() -> None:
    sentences = list(sensitivity_sentences(Sensitivity("", ROWS)))
    assert "5.00x" in sentences[0]
    assert sentences[1] == "`launch` times 2 gives a mean of 2.50x."
    assert "between 2.50x and 5.50x" in sentences[3]
    assert "7.0 %" in sentences[4]
    rows = sensitivity_table(Sensitivity("", ROWS)).rows
    assert rows[1] == ("launch", "0.5", "5 us", "4.50x (3.0 %)", "6.50x")


def test_an_exact_evaluation_says_so_and_replaces_no_other(tmp_path: Path) -> None:
    exact = Reproduction(
        tuple(replace(part, comparison=replace(part.comparison, exact=True)) for part in reproduction().parts)
    )
    files = [set(write_page(shown, tmp_path, write)) for shown in (reproduction(), exact)]
    assert not files[0] & files[1]
    page, plain = ((tmp_path / f"{shown.stem}.md").read_text() for shown in (exact, reproduction()))
    for words in ("`dlfusion reproduce --exact` writes it", "## cpu, exact (measured)", EXACT_NOTE):
        assert words in page
        assert words not in plain


def test_the_page_has_every_part_and_only_names_files_beside_it(tmp_path: Path) -> None:
    files = write_page(reproduction(), tmp_path, write)
    page = (tmp_path / "reproduction.md").read_text()
    assert files[0] == tmp_path / "reproduction.md"
    assert all(path.is_file() for path in files)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert len(pictures) == 8
    assert all((tmp_path / name).is_file() for name in pictures)
    for words in (
        "## toy_npu (simulated)",
        "## cpu (measured)",
        "Found by simulating.",
        "| fitted 1 |",
        "a guess",
        REDUCTION[0],
    ):
        assert words in page
    for name in pictures:
        assert ("simulated" in name) == ("toy_npu" in name and "measured" not in name)
    html = (tmp_path / "reproduction.html").read_text()
    assert html.count("<img") == len(pictures)
    assert "<table>" in html
    document = json.loads((tmp_path / "reproduction.json").read_text())
    assert document["parts"][0]["sensitivity"]["rows"][1]["quantity"] == "launch"
    assert document["parts"][0]["claims"]
