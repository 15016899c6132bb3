"""Proves that `--exact` keeps every command to the direct method."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import helper

from dlfusion.cli.console import EXIT_USER_ERROR
from tests.cli.invoke import invoke, invoke_json
from tests.support.onnx_models import make_model, weights


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One convolution that Winograd's tiles suit: 64 channels of 56 x 56."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], "only", pads=[1, 1, 1, 1])
    path = tmp_path_factory.mktemp("model") / "wide.onnx"
    onnx.save(make_model([node], {"x": (1, 64, 56, 56)}, constants={"w": weights(64, 64, 3, 3)}), path)
    return path


def test_plans_name_algorithms_unless_they_shall_be_exact(wide: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    (row,) = invoke_json("explain", wide, "--strategy", "all-cores", "--save-plan", plan)["rows"]
    (name,) = row["algorithms"]
    assert name.startswith("winograd")
    assert json.loads(plan.read_text())["blocks"][0]["algorithms"] == [[0, name]]
    assert f"by {name}" in " ".join(invoke("explain", wide, "--plan", plan, "--markdown").stdout.split())
    (exact,) = invoke_json("explain", wide, "--strategy", "all-cores", "--exact")["rows"]
    assert exact["algorithms"] == ["direct"]


@pytest.mark.parametrize("command", ["explain", "compile"])
def test_a_plan_that_names_algorithms_is_refused(wide: Path, tmp_path: Path, command: str) -> None:
    plan = tmp_path / "plan.json"
    invoke_json("explain", wide, "--strategy", "all-cores", "--save-plan", plan)
    result = invoke(command, wide, "--plan", plan, "--exact")
    assert result.exit_code == EXIT_USER_ERROR
    assert "layer 0 (only: Conv 3x3), but it can be computed only by direct here" in " ".join(result.stderr.split())


def test_layers_are_measured_as_they_were_asked_for(wide: Path) -> None:
    quick = ("--seconds", "0.01", "--cores", "1,1", "-s", "all-cores")
    plain = invoke_json("layers", wide, *quick)
    exact = invoke_json("layers", wide, *quick, "--exact", "--precision", "bf16")
    assert [document["precision"] for document in (plain, exact)] == ["fp32", "bf16"]
    algorithms = [document["cores"][0]["layers"][0]["algorithm"] for document in (plain, exact)]
    assert algorithms[0].startswith("winograd")
    assert algorithms[1] == "direct"


def test_comparisons_are_exact_and_stand_beside_others(wide: Path, tmp_path: Path) -> None:
    arguments = ("compare", wide, "--strategies", "all-cores", "-o", tmp_path, "--db", tmp_path / "db.sqlite3")
    documents = [invoke_json(*arguments), invoke_json(*arguments, "--exact")]
    (named,), (direct,) = (
        [result["plan"]["blocks"][0]["algorithms"] for result in document["models"][0]["results"]]
        for document in documents
    )
    assert named[0][1].startswith("winograd")
    assert not direct
    assert [document["exact"] for document in documents] == [False, True]
    assert {path.name for path in tmp_path.glob("*.md")} == {
        "strategies-cpu-measured.md", "strategies-cpu-measured-exact.md"
    }  # fmt: skip


def test_evaluations_are_exact(wide: Path, tmp_path: Path) -> None:
    quick = ("--oracle-depth", "1", "--budget", "1", "--no-sensitivity", "--cores", "2")
    rest = ("--models", wide, "-o", tmp_path, "--db", tmp_path / "db.sqlite3", "--exact")
    document = invoke_json("reproduce", "-t", "mlu100", *quick, *rest)
    assert [part["comparison"]["exact"] for part in document["parts"]] == [True]
    assert (tmp_path / "reproduction-exact.md").is_file()


def test_compiled_programs_are_exact(wide: Path, tmp_path: Path) -> None:
    document = invoke_json("compile", wide, "-o", tmp_path / "out", "--exact")
    assert [row["algorithms"] for row in document["plan"]["rows"]] == [["direct"]]
