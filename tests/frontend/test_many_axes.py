"""Values of five axes are cut and joined along any of them but the batch, which stays what it is: kernels need that."""

import numpy as np
import pytest
from onnx import helper

from tests.support.onnx_models import assert_matches_onnx_runtime, make_model

SHAPE = (2, 3, 4, 5, 6)


@pytest.mark.parametrize("axis", [1, 2, 3, 4, -1])
def test_split_and_concat(axis: int) -> None:
    length = SHAPE[axis]
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["first", "second"], axis=axis),
        helper.make_node("Relu", ["first"], ["positive"]),
        helper.make_node("Concat", ["second", "positive", "x"], ["y"], axis=axis),
    ]
    sizes = np.array([1, length - 1])
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": SHAPE}, constants={"sizes": sizes}))
    assert {shape[0] for shape in graph.shapes.values()} == {SHAPE[0]}


def test_slice_along_several_axes() -> None:
    constants = {"starts": [-1, 1, 4], "ends": [-4, 3, 0], "axes": [1, 2, 4], "steps": [-1, 1, -2]}
    node = helper.make_node("Slice", ["x", *constants], ["y"])
    arrays = {name: np.array(values) for name, values in constants.items()}
    graph = assert_matches_onnx_runtime(make_model([node], {"x": SHAPE}, constants=arrays))
    assert {shape[0] for shape in graph.shapes.values()} == {SHAPE[0]}
