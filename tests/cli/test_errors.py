"""Failures of users end with status 2 and a message with name, numbers and next step; bugs keep their traceback."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dlfusion.cli.console import EXIT_USER_ERROR, guarded
from dlfusion.cli.options import parse_shapes
from dlfusion.cli.start import EXIT_INTERRUPTED
from dlfusion.errors import InputError
from tests.cli.invoke import invoke
from tests.support.onnx_models import make_model


def refused(*arguments: str | Path) -> str:
    """The message of a command that must end with status 2 and print no result."""
    result = invoke(*arguments)
    assert result.exit_code == EXIT_USER_ERROR, result.output
    assert result.stdout == ""
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["compile", "explain", "bench"])
def test_missing_model(command: str, tmp_path: Path) -> None:
    assert "none.onnx does not exist" in refused(command, tmp_path / "none.onnx")


@pytest.mark.parametrize("command", ["compile", "explain", "bench"])
def test_folder_instead_of_model(command: str, tmp_path: Path) -> None:
    assert "is a folder" in refused(command, tmp_path)


def test_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "notes.onnx"
    file.write_text("not a model")
    assert "notes.onnx" in refused("explain", file)


def test_unsupported_nodes_are_all_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Hardmax", ["x"], ["a"], "winner"),
        helper.make_node("Relu", ["a"], ["b"], "fine"),
        helper.make_node("Sin", ["b"], ["y"], "wave"),
    ]
    onnx.save(make_model(nodes, {"x": (1, 3, 8, 8)}), tmp_path / "m.onnx")
    message = refused("explain", tmp_path / "m.onnx")
    assert "Hardmax winner" in message
    assert "Sin wave" in message
    assert "fine" not in message


def test_open_shape_says_which_option_fixes_it(tmp_path: Path) -> None:
    onnx.save(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ("n", 3, 8, 8)}), tmp_path / "m.onnx")
    assert "--shape x=1,3,8,8" in refused("explain", tmp_path / "m.onnx")
    assert invoke("explain", tmp_path / "m.onnx", "--shape", "x=1,3,8,8").exit_code == 0


def test_unknown_strategy_lists_the_known_ones(model: Path) -> None:
    assert "baseline" in refused("explain", model, "--strategy", "guess")


def test_plan_of_another_model(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    onnx.save(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, 3, 8, 8)}), other)
    assert invoke("explain", other, "--save-plan", tmp_path / "plan.json").exit_code == 0
    assert "graph" in refused("explain", model, "--plan", tmp_path / "plan.json")


def test_missing_plan(model: Path, tmp_path: Path) -> None:
    assert "none.json" in refused("compile", model, "-o", tmp_path / "out", "--plan", tmp_path / "none.json")
    assert not (tmp_path / "out").exists()


def test_unknown_instruction_set(model: Path, tmp_path: Path) -> None:
    assert "avx512" in refused("compile", model, "-o", tmp_path / "out", "--isa", "mmx")
    assert not (tmp_path / "out").exists()


def test_unknown_precision(model: Path, tmp_path: Path) -> None:
    assert "fp32, bf16" in refused("compile", model, "-o", tmp_path / "out", "--precision", "int8")
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("mine")
    assert "name a folder" in refused("compile", model, "-o", file)
    assert file.read_text() == "mine"


def test_more_cores_than_there_are(model: Path) -> None:
    assert "4096" in refused("bench", model, "--cores", "4096")


@pytest.mark.parametrize("text", ["x", "x=", "=1,2", "x=1,,2", "x=1,-2", "x=0", "x=1;2", "x=1,a", "x=²"])
def test_malformed_shapes(text: str) -> None:
    with pytest.raises(InputError, match="NAME=N,C,H,W"):
        parse_shapes([text])


def test_shapes() -> None:
    assert parse_shapes(None) is None
    assert parse_shapes(["x=1,3, 8", "a=b=2"]) == {"x": (1, 3, 8), "a=b": (2,)}
    with pytest.raises(InputError, match="twice"):
        parse_shapes(["x=1", "x=2"])


def test_wrong_input_shape_gives_both(compiled: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 9, 9), np.float32))
    message = refused("run", compiled, "--input", tmp_path / "x.npy")
    assert "1 x 3 x 9 x 9" in message
    assert "1 x 3 x 17 x 19" in message


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.jpg"])
def test_input_of_other_content_is_named_without_unsafe_advice(compiled: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello")
    message = refused("run", compiled, "--input", tmp_path / name)
    assert name in message
    assert "pickle" not in message


def test_choices_for_a_model_that_is_compiled_already_are_refused(compiled: Path, image: Path) -> None:
    message = refused("run", compiled, "--input", image, "--exact", "--precision", "bf16")
    assert "is compiled already, so --exact and --precision would have no effect" in message


def test_labels_that_are_no_utf_8(compiled: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"caf\xe9\n")
    assert "save it as UTF-8" in refused("run", compiled, "--input", image, "--labels", tmp_path / "labels.txt")


def test_folder_that_is_no_compiled_model(tmp_path: Path, image: Path) -> None:
    assert "dlfusion compile" in refused("run", tmp_path, "--input", image)


def test_bugs_keep_their_traceback() -> None:
    def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        guarded(broken)()


def test_interrupt_has_the_status_of_sigint() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match=str(EXIT_INTERRUPTED)):
        guarded(interrupted)()
