"""`dlfusion layers`."""

from pathlib import Path

from tests.cli.invoke import invoke, invoke_json

QUICK = ("--seconds", "0.01", "--cores", "1", "-s", "fixed-block:2")


def test_document(model: Path) -> None:
    document = invoke_json("layers", model, *QUICK)
    (entry,) = document["cores"]
    assert entry["cores"] == 1
    assert entry["rates"]["operations_per_second"] > 0
    assert all(layer["minimum_seconds"] > 0 for layer in entry["layers"])
    assert len(entry["blocks"]) >= 1


def test_tables_and_page(model: Path, tmp_path: Path) -> None:
    result = invoke("layers", model, *QUICK, "-o", tmp_path / "new" / "folder")
    assert result.exit_code == 0, result.output
    for words in ("Layers on 1 core", "Fused blocks on 1 core", "what fusion and cores gain", "Bound: the roofline"):
        assert words in result.output
    assert {path.suffix for path in (tmp_path / "new" / "folder").iterdir()} == {".md", ".png"}
