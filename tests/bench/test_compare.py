"""A comparison with other engines: who takes part, who cannot and why, and what stops it altogether."""

from pathlib import Path

import pytest

from dlfusion.bench import compare as comparing
from dlfusion.bench.compare import Options, compare
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.errors import DlfusionError, InputError, PlanError, VerificationError
from dlfusion.machine.host import usable_cpus
from dlfusion.report import record as record_module
from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.record import Engine, Record
from dlfusion.targets.cpu.precision import Precision
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
    assert "Refusing cannot run: its converter knows no layers (tiny on 1 core)." in best_table(record).notes
    assert "cannot run" in engine_table(record).rows[2]


def test_settings_name_no_folder_of_the_run(model: Path) -> None:
    chosen = Options(("baseline",), seconds=0.05, peers=(OnnxRuntime,), memory=False, isa="avx2")
    (comparison,) = compare([model], chosen).comparisons
    for engine in comparison.engines:
        assert not [value for value in engine.settings.values() if "/" in value]


def test_our_own_program_must_be_right(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "OUR_TOLERANCES", {"fp32": -1.0})
    shapes = {"x": (1, 3, 17, 19)}
    chosen = Options(("baseline",), seconds=0.05, peers=(), memory=False, isa="avx2", exact=True, shapes=shapes)
    with pytest.raises(
        VerificationError, match=r"tiny\.onnx compiled with strategy baseline, on 1 core: its outputs differ"
    ) as raised:
        compare([model], chosen)
    command = f"dlfusion compile {model} --strategy baseline --cores 1 --isa avx2 --exact --shape x=1,3,17,19"
    assert str(raised.value).endswith(f"find the layer with: {command}")


def test_ours_is_held_to_what_every_compiled_program_is_held_to() -> None:
    for precision, ours, peers in ((Precision.FP32, 1e-4, 1e-3), (Precision.BF16, 2e-2, 5e-2)):
        assert Engine("dlfusion", (), precision=precision).allowed_difference == ours
        assert Engine("mnn", (), is_peer=True, precision=precision).allowed_difference == peers


def test_a_program_of_ours_that_fails_names_a_command_to_look_at_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "Compiled", Crashing)
    with pytest.raises(DlfusionError, match=r"on 1 core: .*out of luck; see what it does alone with: dlfusion compile"):
        compare([model], Options(("baseline",), peers=(), memory=False))


def test_a_model_that_the_reference_refuses_stops_the_comparison(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "OnnxRuntime", Crashing)
    with pytest.raises(DlfusionError, match=r"tiny\.onnx: ONNX Runtime, whose outputs are the reference, fails"):
        compare([model], Options(("baseline",), peers=()))


def test_requests_that_cannot_be_met_stop_before_any_work(tmp_path: Path) -> None:
    count = len(usable_cpus())
    with pytest.raises(InputError, match=f"{count + 1} is more than the {count} cores"):
        compare([tmp_path / "never-read.onnx"], Options(cores=(1, count + 1)))
    with pytest.raises(InputError, match="avx1024"):
        compare([tmp_path / "never-read.onnx"], Options(isa="avx1024"))
    with pytest.raises(PlanError, match="There is no strategy `fastest`"):
        compare([tmp_path / "never-read.onnx"], Options(("baseline", "fastest")))
