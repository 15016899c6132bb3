"""The message about a detector says how to cut its search for boxes off, and what it says works."""

import ast
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

from dlfusion.errors import UnsupportedError
from dlfusion.frontend import load
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights

CALL = re.compile(r"onnx\.utils\.extract_model\((.*)\)$", re.MULTILINE)

CONSTANTS = {
    "w": weights(6, 3, 3, 3),
    "v": weights(2, 2, 1, 1),
    "parts": np.array([4, 2]),
    "boxes": np.array([1, -1, 4]),
    "scores": np.array([1, 2, -1]),
    "most": np.array([9]),
    "threshold": np.array([0.5], np.float32),
    "one": np.array([1]),
}


def detector() -> ModelProto:
    """Boxes and scores of a convolution, the boxes that remain of them, and something that both are needed for."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Split", ["c", "parts"], ["first", "second"], axis=1),
        helper.make_node("Transpose", ["first"], ["turned"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["turned", "boxes"], ["b"]),
        helper.make_node("Sigmoid", ["second"], ["likely"]),
        helper.make_node("Reshape", ["likely", "scores"], ["s"]),
        helper.make_node("NonMaxSuppression", ["b", "s", "most", "threshold", "threshold"], ["kept"]),
        helper.make_node("Gather", ["kept", "one"], ["places"], axis=1),
        helper.make_node("Cast", ["places"], ["found"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["found"], ["total"], keepdims=0),
        helper.make_node("Mul", ["likely", "total"], ["y"]),
    ]
    read = {name for node in nodes for name in node.input}
    constants = {name: array for name, array in CONSTANTS.items() if name in read}
    model = make_model(nodes, {"x": (1, 3, 8, 8)}, constants=constants, outputs=("y", "c"))
    for output, channels in zip(model.graph.output, (2, 6), strict=True):  # a file states the shapes of its outputs
        shape = (1, channels, 6, 6)
        output.CopyFrom(helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, shape))
    return model


def refusal(model: ModelProto) -> str:
    with pytest.raises(UnsupportedError) as caught:
        load(model)
    return str(caught.value)


def test_the_call_gives_a_model_that_can_be_imported(tmp_path: Path) -> None:
    """It gives all that comes behind it needs: also the scores, which Mul combines with what is left of the boxes."""
    model = detector()
    message = refusal(model)
    assert "NonMaxSuppression" in message
    call = CALL.search(message)
    assert call is not None, message
    _, _, inputs, outputs = ast.literal_eval(f"({call.group(1)})")
    assert inputs == ["x"]
    assert outputs == ["b", "s", "likely", "c"]
    whole, part = tmp_path / "model.onnx", tmp_path / "cut.onnx"
    onnx.save(model, whole)
    onnx.utils.extract_model(str(whole), str(part), inputs, outputs)
    graph = assert_matches_onnx_runtime(onnx.load(part))
    assert [port.name for port in graph.outputs] == outputs


def test_no_cut_in_the_middle_of_a_model() -> None:
    """Attention before further convolutions: what comes before it is no model."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("MatMul", ["c", "c"], ["m"]),
        helper.make_node("Split", ["m", "parts"], ["first", "second"], axis=1),
        helper.make_node("Conv", ["second", "v"], ["y"]),
    ]
    constants = {name: CONSTANTS[name] for name in ("w", "v", "parts")}
    assert "extract_model" not in refusal(make_model(nodes, {"x": (1, 3, 8, 8)}, constants=constants))


def test_no_cut_where_nothing_is_left() -> None:
    model = make_model([helper.make_node("Sin", ["x"], ["y"])], {"x": (1, 3, 8, 8)})
    assert "extract_model" not in refusal(model)


def test_operators_that_no_operator_set_has() -> None:
    """What TensorFlow's converter cannot express it writes under TensorFlow's name."""
    model = make_model([helper.make_node("Erfc", ["x"], ["y"])], {"x": (1, 3, 8, 8)}, opset=15)
    assert "Erfc (no name), which computes y: ONNX has no such operator (opset 15)" in refusal(model)
