"""A comparison with other engines: who takes part, who cannot and why, and what stops it altogether."""

from pathlib import Path

import pytest

from dlfusion.bench import compare as comparing
from dlfusion.bench.compare import Options, compare
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.errors import DlfusionError, InputError, VerificationError
from dlfusion.machine.host import usable_cpus
from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.record import Record
from tests.bench.fake_engines import Crashing, Faithful, Refusing, Wrong

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the fake engines."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_engines_that_cannot_run_are_shown_with_the_reason_and_left_out_of_the_best(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    peers = (OnnxRuntime, Faithful, Wrong, Refusing, Crashing)
    chosen = Options(("baseline", "all-cores"), seconds=0.05, peers=peers)
    stages: list[str] = []
    record = compare([Path(model.name)], chosen, lambda stage, done, total: stages.append(stage))
    assert stages[0] == "tiny: convert"
    assert stages[-1] == "tiny, 1 core: time in turns"
    (comparison,) = record.comparisons
    assert comparison.same_plan == {"all-cores": "baseline"}
    assert comparison.cpus == usable_cpus()[:1]
    assert [engine.name for engine in comparison.engines] == [*(peer.name for peer in peers), "baseline"]
    problems = {engine.name: engine.problem for engine in comparison.engines if engine.problem is not None}
    assert problems.keys() == {"wrong", "refusing", "crashing"}
    assert "differ by 5.00e-01 of their scale" in problems["wrong"]
    assert comparison.best_peer in (comparison.peer("onnxruntime"), comparison.peer("faithful"))
    for name in ("onnxruntime", "faithful"):
        engine = comparison.peer(name)
        assert engine is not None
        assert engine.largest_difference == 0
        assert engine.settings == {"intra_op_num_threads": "1", "inter_op_num_threads": "1"}
    assert comparison.best.peak_memory_bytes
    assert comparison.best.settings["isa"]
    assert record.versions.keys() == {"dlfusion", *(peer.name for peer in peers)}
    assert Record.of(record.document()) == record
    assert any(
        "Refusing cannot run: its converter knows no layers (tiny on 1)." in note for note in best_table(record).notes
    )
    assert "cannot run" in engine_table(record).rows[2]


def test_our_own_program_must_be_right(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "TOLERANCES", {"fp32": -1.0})
    chosen = Options(("baseline",), seconds=0.05, peers=(), memory=False)
    with pytest.raises(
        VerificationError, match=r"tiny\.onnx compiled with strategy baseline, on 1 cores: its outputs differ"
    ):
        compare([model], chosen)


def test_a_model_that_the_reference_refuses_stops_the_comparison(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "OnnxRuntime", Crashing)
    with pytest.raises(DlfusionError, match=r"tiny\.onnx: ONNX Runtime, whose outputs are the reference, fails"):
        compare([model], Options(("baseline",), peers=()))


def test_requests_that_cannot_be_met_stop_before_any_work(tmp_path: Path) -> None:
    count = len(usable_cpus())
    with pytest.raises(InputError, match=f"{count + 1} is more than the {count} cores"):
        compare([tmp_path / "never-read.onnx"], Options(cores=(1, count + 1)))
    with pytest.raises(InputError, match="no precision is called 'int8'; choose from fp32, bf16"):
        compare([tmp_path / "never-read.onnx"], Options(precision="int8"))
