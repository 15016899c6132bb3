"""Proves on a small machine file that the evaluation has all its parts, and what its sensitivity table changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlfusion import driver
from dlfusion.bench import reproduction
from dlfusion.bench.reproduction import Options, reproduce
from dlfusion.bench.strategies import compare
from dlfusion.cost.profile import Profile
from dlfusion.errors import InputError
from dlfusion.machine import Accelerator
from dlfusion.machine.accelerator import Provenance, Quantity
from dlfusion.report.reproduction import Reproduction
from dlfusion.report.strategies import Comparison
from dlfusion.search.contract import toy_accelerator, toy_profile
from dlfusion.targets.simulated.target import SimulatedTarget
from dlfusion.targets.target import Target


@pytest.fixture
def machine() -> Accelerator:
    """The toy accelerator with one assumed number, the launch."""
    launch = Quantity(3.0, "us", Provenance.ASSUMED, "a guess for tests")
    rate = Quantity(2.0, "GFLOP/s", Provenance.PUBLISHED, "a paper")
    return replace(toy_accelerator(), quantities={"launch_time": launch, "operation_rate": rate})


@pytest.fixture
def characterized(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The launch times of all machines that were characterized, in seconds."""
    seen: list[float] = []

    def characterize(target: Target, **options: object) -> Profile:
        assert isinstance(target.machine, Accelerator)
        seen.append(target.machine.launch_seconds)
        return replace(toy_profile(target.machine), library=target.setting.library)

    monkeypatch.setattr(driver, "characterize", characterize)
    monkeypatch.setattr(driver, "find_profile", lambda target, profile=None: profile)
    return seen


def test_the_evaluation_has_all_parts_and_is_handed_over_model_by_model(
    model: Path, machine: Accelerator, characterized: list[float], tmp_path: Path
) -> None:
    handed: list[Reproduction] = []
    chosen = Options(strategies=("baseline", "dlfusion", "dp", "oracle"), database=tmp_path / "db.sqlite3")
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(model.read_bytes())
    found = reproduce([SimulatedTarget("toy_npu", machine)], [str(model), str(copy)], chosen, finished=handed.append)
    counts = [(len(part.comparison.models), part.sensitivity) for entry in handed for part in entry.parts]
    assert [(models, None if table is None else len(table.rows[0].results)) for models, table in counts] == [
        (1, None), (1, 1), (2, 1), (2, 2)
    ]  # fmt: skip
    assert handed[-1] == found
    (part,) = found.parts
    assert [entry.model for entry in part.comparison.models] == [model.stem, "copy"]
    assert part.comparison.simulated
    for row in part.accuracy:
        assert row.blocks > 0
        assert -1 <= row.rank_correlation <= 1
    shares = part.comparison.models[0].results[0].shares
    assert shares is not None
    assert 0 < shares.starts < 1


def test_each_assumed_number_is_halved_and_doubled_on_a_machine_characterized_anew(
    model: Path, machine: Accelerator, characterized: list[float], tmp_path: Path
) -> None:
    chosen = Options(strategies=("baseline", "dlfusion"), database=tmp_path / "db.sqlite3")
    found = reproduce([SimulatedTarget("toy_npu", machine)], [str(model)], chosen)
    table = found.parts[0].sensitivity
    assert table is not None
    assert [(row.quantity, row.factor, row.value) for row in table.rows] == [
        ("none changed", 1.0, 1.0), ("launch_time", 0.5, 1.5), ("launch_time", 2.0, 6.0)
    ]  # fmt: skip
    assert characterized == pytest.approx([3e-6, 3e-6, 1.5e-6, 6e-6])
    assert {row.source for row in table.rows} == {"", "a guess for tests"}
    nominal, half, double = (row.results[0] for row in table.rows)
    comparison = found.parts[0].comparison.models[0]
    ours = comparison.find("dlfusion")
    assert ours is not None
    assert comparison.speed_up(ours).minimum == pytest.approx(nominal[1])  # type: ignore[union-attr]
    assert half[1] != nominal[1] != double[1]
    assert all(regret is not None for _, _, regret in (nominal, half, double))


def test_without_sensitivity_nothing_is_characterized_anew(
    model: Path, machine: Accelerator, characterized: list[float], tmp_path: Path
) -> None:
    chosen = Options(strategies=("baseline",), database=tmp_path / "db.sqlite3", sensitivity=False)
    found = reproduce([SimulatedTarget("toy_npu", machine)], [str(model)], chosen)
    assert found.parts[0].sensitivity is None
    assert len(characterized) == 1


def test_all_comparisons_of_an_exact_evaluation_are_exact(
    model: Path, machine: Accelerator, characterized: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def watched(*arguments: Any, **options: Any) -> Comparison:
        asked.append(options["exact"])
        return compare(*arguments, **options)

    monkeypatch.setattr(reproduction, "compare", watched)
    for exact in (False, True):
        chosen = Options(strategies=("baseline", "dlfusion"), database=tmp_path / "db.sqlite3", exact=exact)
        found = reproduce([SimulatedTarget("toy_npu", machine)], [str(model)], chosen)
        assert found.exact is exact
    assert asked == [False] * 4 + [True] * 4


def test_unknown_models_and_targets_stop_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model `guess`; choose from alexnet"):
        reproduce(["mlu100"], ["guess"])
    with pytest.raises(InputError, match="no target `guess`"):
        reproduce(["guess"], ["alexnet"])
    with pytest.raises(InputError, match="at least one target and one model"):
        reproduce([], ["alexnet"])
