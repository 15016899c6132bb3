"""`make bench`: what it measures, that an interrupted run goes on, and where its results go."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.table import MODELS, RESULTS, Settings, measure, read_arguments, write_results
from dlfusion.bench.compare import Options
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.report.record import Comparison, Engine, Record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two small models, results below a temporary folder."""
    chosen = read_arguments(["fsrcnn", "espcn", "--peers", "onnxruntime"])
    return replace(chosen, results=tmp_path / "results", unfinished=tmp_path / "unfinished")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that a stand-in for the comparison was called with; the second call is interrupted."""
    calls: list[str] = []

    def compare(models: Sequence[Path], chosen: Options, progress: object) -> Record:
        (model,) = models
        assert model.is_file()
        calls.append(model.stem)
        if len(calls) == 2:
            raise KeyboardInterrupt
        engines = (Engine("onnxruntime", (2.0,), is_peer=True, title="ONNX Runtime"), Engine("dlfusion", (1.0,)))
        return Record("a machine", {"dlfusion": "1"}, 1.0, (Comparison(model.stem, 1, engines, {}),))

    monkeypatch.setattr(table, "compare", compare)
    return calls


def test_everything_is_measured_unless_something_is_named() -> None:
    everything = read_arguments(["--peers", "onnxruntime"])
    assert everything.names == MODELS
    assert everything.is_default
    assert everything.options.peers == (OnnxRuntime,)
    assert everything.results == RESULTS
    some = read_arguments(["espcn", "--precision", "bf16", "--isa", "avx2"])
    assert some.names == ("espcn",)
    assert not some.is_default
    assert some.results == RESULTS / "bf16-avx2"
    with pytest.raises(SystemExit):
        read_arguments(["no-such-model"])


def test_an_interrupted_run_keeps_finished_models_and_goes_on(settings: Settings, measured: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure(settings)
    assert not settings.results.exists()
    record = measure(settings)
    assert measured == ["fsrcnn", "espcn", "espcn"]
    assert [comparison.model for comparison in record.comparisons] == ["fsrcnn", "espcn"]
    write_results(record, settings)
    assert {path.name for path in settings.results.iterdir()} == {"fsrcnn.json", "fsrcnn.md", "espcn.json", "espcn.md"}
    stored = Record.of(json.loads((settings.results / "espcn.json").read_text()))
    assert stored.comparisons == record.comparisons[1:]
    assert list(settings.unfinished.iterdir()) == []


def test_results_of_other_settings_are_not_mixed(settings: Settings) -> None:
    other = replace(settings, options=replace(settings.options, seconds=9.0))
    assert other.digest() != settings.digest()
    assert replace(settings, results=Path("elsewhere")).digest() == settings.digest()
