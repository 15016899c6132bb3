"""`make bench`: what it measures, that an interrupted run goes on, and where its results go."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.table import MODELS, RESULTS, Settings, measure, read_arguments, write_results
from dlfusion.bench.compare import Options
from dlfusion.bench.engines import PEERS
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.cost.profile import shipped_profiles
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
    everything = read_arguments([])
    assert everything.names == MODELS
    assert everything.options.profile == shipped_profiles()["cpu"]
    assert everything.results == RESULTS
    assert read_arguments(["--peers", "onnxruntime"]).options.peers == (OnnxRuntime,)
    some = read_arguments(["espcn", "--precision", "bf16", "--isa", "avx2"])
    assert some.names == ("espcn",)
    assert not some.is_default
    assert some.results == RESULTS / "bf16-avx2"
    with pytest.raises(SystemExit):
        read_arguments(["no-such-model"])


def test_the_readme_shows_all_models_and_peers_as_they_are_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in PEERS:
        monkeypatch.setattr(peer, "packages", ("numpy",))
    assert read_arguments([]).is_default
    assert read_arguments(["--peers", "onnxruntime,openvino,ncnn,mnn", "--seconds", "3"]).is_default
    for changed in (["--seconds", "0.1"], ["--peers", "onnxruntime"], ["espcn"], ["--isa", "avx2"]):
        assert not read_arguments(changed).is_default
    monkeypatch.setattr(PEERS[-1], "packages", ("no_such_package",))
    assert not read_arguments([]).is_default


def test_other_settings_get_a_page_of_their_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MODELS", settings.names)
    engines = (Engine("onnxruntime", (2.0,), is_peer=True, title="ONNX Runtime"), Engine("dlfusion", (1.0,)))
    comparisons = tuple(Comparison(name, 1, engines, {}) for name in settings.names)
    (settings.unfinished / settings.digest()).mkdir(parents=True)
    write_results(Record("a machine", {"dlfusion": "1"}, 1.0, comparisons), settings)
    pages = {f"comparison.{kind}" for kind in ("md", "png", "svg")}
    assert {path.name for path in settings.results.iterdir()} >= pages


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


def test_results_of_other_settings_are_not_mixed(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, options=replace(settings.options, seconds=9.0))
    assert other.digest() != settings.digest()
    assert replace(settings, results=Path("elsewhere")).digest() == settings.digest()
    profile = tmp_path / "profile.json"
    profile.write_text("{}")
    digests = {replace(settings, options=replace(settings.options, profile=profile)).digest(), settings.digest()}
    profile.write_text('{"learned": "more"}')
    digests.add(replace(settings, options=replace(settings.options, profile=profile)).digest())
    assert len(digests) == 3
