"""The script that writes a page of every model's performance."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import performance
from dlfusion import zoo
from dlfusion.bench.layers import Options
from dlfusion.report.layers import ModelReport
from tests.report.toy_layers import model_report


def test_pages_of_performance_are_written_model_by_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(model: Path, chosen: Options, *, progress: object) -> ModelReport:
        assert model.is_file()
        assert chosen.cores[0] == 1
        measured.append(model.stem)
        return replace(model_report(), model=model.stem)

    monkeypatch.setattr(performance, "measure_layers", measure)
    monkeypatch.setattr("dlfusion.zoo.build", lambda name: zoo.BUILDERS["espcn"](seed=0, size=8, width=8))
    pages, results = tmp_path / "pages", tmp_path / "results"
    performance.write_pages(["squeezenet"], 1.0, pages, results)
    performance.write_pages(["espcn"], 1.0, pages, results)
    assert measured == ["squeezenet", "espcn"]
    files = {f"{name}{ending}" for name in measured for ending in (".md", "-roofline.png")}
    assert {path.name for path in pages.iterdir()} == {"README.md", *files}
    index = (pages / "README.md").read_text(encoding="utf-8")
    assert index.index("[espcn](espcn.md)") < index.index("[squeezenet](squeezenet.md)"), "in the zoo's order"
    assert {path.name for path in results.iterdir()} == {"squeezenet.json", "espcn.json"}
