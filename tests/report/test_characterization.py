import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dlfusion.cost.insight_records import Importance, Ranking
from dlfusion.cost.profile import Profile
from dlfusion.report import characterization_figures as figures
from dlfusion.report.characterization import (
    PAGE,
    fit_table,
    insight_sentences,
    noise_sentences,
    origin,
    rule_table,
    sentences,
    write_report,
)
from tests.report.toy_comparison import write
from tests.support.toy_profiles import INSIGHT, toy_profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIMULATED = toy_profile()
MEASURED = replace(toy_profile(), simulated=False, compiler="g++ 14")

OF_PROFILES: tuple[Callable[[Profile], "Figure"], ...] = (
    figures.throughput,
    figures.core_map,
    figures.fusion,
    figures.prediction,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert write_report(SIMULATED, INSIGHT, folder, write) == folder / PAGE
    return folder


def test_page_and_figures_are_written(folder: Path) -> None:
    page = (folder / PAGE).read_text(encoding="utf-8")
    stems = re.findall(r"!\[[^]]+\]\(([\w-]+)\.svg\)", page)
    assert len(stems) == 6
    assert {path.name for path in folder.iterdir()} == {PAGE, *(f"{s}.{end}" for s in stems for end in ("png", "svg"))}
    assert "(simulated)" in page.splitlines()[0]
    assert "not from hardware" in page
    assert "the two agree, not that either predicts hardware" in page


def test_files_are_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    write_report(SIMULATED, INSIGHT, tmp_path, write)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("draw", OF_PROFILES, ids=lambda draw: draw.__name__)
def test_figures_say_whether_they_are_simulated(draw: Callable[[Profile], "Figure"]) -> None:
    assert "simulated" in draw(SIMULATED).get_suptitle()
    assert "simulated" not in draw(MEASURED).get_suptitle()


def test_figures_of_features_say_whether_they_are_simulated() -> None:
    for draw in (figures.components, figures.importance):
        assert "simulated" in draw(INSIGHT, "toy", simulated=True).get_suptitle()
        assert "simulated" not in draw(INSIGHT, "toy", simulated=False).get_suptitle()


def test_throughput_is_of_layers_computed_directly() -> None:
    """Tiles make layers faster than their operation counts allow."""
    tiled = tuple(replace(s, algorithms=("winograd4",), seconds=(s.minimum / 9,)) for s in SIMULATED.samples)
    both = replace(SIMULATED, samples=(*tiled, *SIMULATED.samples))
    assert [s for s in sentences(both) if "GOP/s" in s] == [s for s in sentences(SIMULATED) if "GOP/s" in s] != []
    curves = [np.asarray(figures.throughput(profile).axes[0].lines[0].get_ydata()) for profile in (both, SIMULATED)]
    assert curves[0].tolist() == curves[1].tolist()


def test_nothing_of_a_measured_profile_is_called_simulated(tmp_path: Path) -> None:
    assert "imulat" not in write_report(MEASURED, INSIGHT, tmp_path, write).read_text(encoding="utf-8")
    assert origin(MEASURED) == "Measured on toy; 8 cores, compiled with g++ 14."


def test_tables_state_the_fit_and_the_rule() -> None:
    cells = {row[1]: row[2] for row in fit_table(SIMULATED).rows}
    assert cells["median error"] == "6.0 %"
    assert cells["worst regret"] == "19.0 %"
    assert cells["per core"] == "3.20 MOP"
    assert rule_table(SIMULATED).rows == (
        ("up to 4.19 MOP", "any", "1"),
        ("above 4.19 MOP", "up to 45", "4"),
        ("above 4.19 MOP", "above 45", "8"),
    )


def test_sentences_hold_for_one_core_and_for_no_chains() -> None:
    one = tuple(sample for sample in SIMULATED.samples if sample.cores == 1)
    text = " ".join(sentences(replace(SIMULATED, samples=one)))
    assert "nothing to choose" in text
    alone = tuple(sample for sample in SIMULATED.samples if sample.layers == 1)
    assert "No chain could run fused" in " ".join(sentences(replace(SIMULATED, samples=alone)))


def test_figures_of_a_device_with_one_core_count_and_without_chains(tmp_path: Path) -> None:
    few = tuple(sample for sample in SIMULATED.samples if sample.cores == 8 and sample.layers == 1)
    write_report(replace(SIMULATED, samples=few), replace(INSIGHT, components=()), tmp_path, write)
    assert not (tmp_path / "components.svg").exists()


def test_noise_of_measurements_is_stated() -> None:
    assert noise_sentences(SIMULATED) == ()
    quiet = replace(MEASURED, samples=tuple(replace(s, seconds=(1.0, 1.05, 1.0)) for s in MEASURED.samples))
    assert noise_sentences(quiet) == (
        "In 0.0 % of the samples the median run took over 10.0 % longer than the shortest.",
    )
    loud = replace(MEASURED, samples=tuple(replace(s, seconds=(1.0, 1.2, 2.0)) for s in MEASURED.samples))
    assert "In 100.0 %" in noise_sentences(loud)[0]
    assert "measure again" in noise_sentences(loud)[1]


def test_what_matters_is_found_not_assumed() -> None:
    text = " ".join(insight_sentences(INSIGHT))
    assert "operations and channels, by which the paper decides, are the two that matter most here" in text
    assert "Nothing can be said about the throughput: all answers are equal." in text
    other = Ranking(
        "best core count",
        0.8,
        tuple(Importance(name, mean, 0.01) for name, mean in (("kernel", 0.9), ("operations", 0.5), ("channels", 0.1))),
        (("operations", "channels"),),
    )
    text = " ".join(insight_sentences(replace(INSIGHT, rankings=(other,))))
    assert "not the first two here: operations is number 2, channels is number 3 of 3" in text
    assert "Not to be told apart: operations, channels." in text
    text = " ".join(insight_sentences(replace(INSIGHT, rankings=(replace(other, score=0.1),))))
    assert "The prediction is weak" in text
    assert "matter most here" not in text
