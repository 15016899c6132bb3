"""What detection heads do with maps beside computing them: pick, join and repeat parts of any axis."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend import load
from dlfusion.ops.concat import Concat
from dlfusion.ops.slice import Slice
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.transpose import Transpose
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights

SHAPE = (2, 6, 7, 5)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("indices", [1, -1, [0, 1], [1, 0, 0], [[1, 0], [0, 1]]])
def test_gather_along_any_axis(axis: int, indices: object) -> None:
    node = helper.make_node("Gather", ["x", "indices"], ["y"], axis=axis)
    assert_matches_onnx_runtime(make_model([node], {"x": SHAPE}, constants={"indices": np.array(indices)}))


def test_gather_takes_evenly_spaced_channels_at_once() -> None:
    node = helper.make_node("Gather", ["x", "indices"], ["y"], axis=1)
    indices = np.array([5, 3, 1, 0, 1, 2, 3, -2])
    graph = assert_matches_onnx_runtime(make_model([node], {"x": SHAPE}, constants={"indices": indices}))
    kinds = [type(own.operator) for own in graph.nodes]
    assert kinds == [Slice, Slice, Concat]


def test_gather_outside_or_of_too_many_parts_is_refused() -> None:
    node = helper.make_node("Gather", ["x", "indices"], ["y"], axis=1)
    with pytest.raises(ModelError, match=r"index 6 lies outside axis 1 of \(2, 6, 7, 5\)"):
        load(make_model([node], {"x": SHAPE}, constants={"indices": np.array([0, 6])}))
    repeated = np.zeros(1000, np.int64)
    with pytest.raises(UnsupportedError, match=r"1000 elements of axis 1 of .* in 1000 evenly spaced parts; 1 to 256"):
        load(make_model([node], {"x": SHAPE}, constants={"indices": repeated}))


@pytest.mark.parametrize("repeats", [(1, 1, 3, 2), (1, 2, 1, 1), (1, 3, 1, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 7, 1)])
def test_tile(repeats: Sequence[int], shape: Sequence[int]) -> None:
    node = helper.make_node("Tile", ["x", "repeats"], ["y"])
    assert_matches_onnx_runtime(make_model([node], {"x": shape}, constants={"repeats": np.array(repeats)}))


def test_tile_of_the_batch_is_refused() -> None:
    node = helper.make_node("Tile", ["x", "repeats"], ["y"])
    with pytest.raises(UnsupportedError, match="the batch, axis 0, cannot grow"):
        load(make_model([node], {"x": SHAPE}, constants={"repeats": np.array([2, 1, 1, 1])}))


def test_expand_of_a_new_axis() -> None:
    """The copies of each row that Keras makes to enlarge a map."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axes"], ["a"]),
        helper.make_node("Expand", ["a", "wanted"], ["b"]),
        helper.make_node("Reshape", ["b", "joined"], ["y"]),
    ]
    constants = {"axes": [3], "wanted": [2, 6, 7, 3, 5], "joined": [2, 6, 21, 5]}
    arrays = {name: np.array(array) for name, array in constants.items()}
    assert_matches_onnx_runtime(make_model(nodes, {"x": SHAPE}, constants=arrays))


@pytest.mark.parametrize("order", [(0, 1, 3, 5, 2, 4), (0, 3, 5, 1, 2, 4)])
def test_pixel_unshuffle(order: Sequence[int]) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "split"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=order),
        helper.make_node("Reshape", ["b", "joined"], ["y"]),
    ]
    constants = {"split": np.array([2, 3, 4, 2, 5, 2]), "joined": np.array([2, 12, 4, 5])}
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 3, 8, 10)}, constants=constants))
    kinds = [type(own.operator) for own in graph.nodes]
    assert SpaceToDepth in kinds
    assert Transpose not in kinds


def grid(axis: int, size: int) -> NDArray[np.float32]:
    """A constant that has `size` along the axis, and is the same for both images."""
    shape = [1, *SHAPE[1:]]
    shape[axis] = size
    return np.tile(weights(*shape), (2, 1, 1, 1))


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("inputs", ["cxd", "xc", "dxcxd", "xz"])
def test_concat_with_constants(axis: int, inputs: str) -> None:
    """Coordinates beside channels, anchors beside boxes, and zeros, which need no addition."""
    constants = {"c": grid(axis, 2), "d": grid(axis, 3), "z": np.zeros_like(grid(axis, 2))}
    used = {name: array for name, array in constants.items() if name in inputs}
    node = helper.make_node("Concat", list(inputs), ["y"], axis=axis)
    graph = assert_matches_onnx_runtime(make_model([node], {"x": SHAPE}, constants=used))
    assert {shape[0] for shape in graph.shapes.values()} == {SHAPE[0]}


def test_boxes_of_anchors() -> None:
    """Boxes [N, anchors, 4] decoded with constant anchors, element by element, and stacked again."""
    places = math.prod(SHAPE[2:])
    anchors = weights(places, 4)
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "one"], ["offsets"]),
        helper.make_node("Transpose", ["offsets"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "boxes"], ["b"]),
        helper.make_node("Mul", ["b", "anchors"], ["scaled"]),
    ]
    sides = []
    for side in range(4):
        nodes.append(helper.make_node("Gather", ["scaled", f"i{side}"], [f"side{side}"], axis=2))
        nodes.append(helper.make_node("Unsqueeze", [f"side{side}", "last_axis"], [f"column{side}"]))
        sides.append(f"column{side}")
    nodes.append(helper.make_node("Concat", sides[::-1], ["y"], axis=-1))
    integers = {"from": [1], "to": [5], "one": [1], "boxes": [2, -1, 4], "last_axis": [2], "i0": 0, "i1": 1, "i2": 2}
    constants = {name: np.array(value) for name, value in integers.items()} | {"i3": np.array(3), "anchors": anchors}
    assert_matches_onnx_runtime(make_model(nodes, {"x": SHAPE}, constants=constants))


@pytest.mark.parametrize("order", [(0, 1, 3, 2, 4), (0, 4, 2, 3, 1), (0, 3, 1, 4, 2), (0, 2, 4, 1, 3)])
@pytest.mark.parametrize("batch", [1, 2])
def test_transposes_keep_each_image_apart(batch: int, order: Sequence[int]) -> None:
    """Kernels see one image at a time, also where the cells of keypoint detectors are put in their places."""
    node = helper.make_node("Transpose", ["x"], ["y"], perm=order)
    graph = assert_matches_onnx_runtime(make_model([node], {"x": (batch, 2, 3, 4, 5)}))
    assert {shape[0] for shape in graph.shapes.values()} == {batch}


def test_softmax_over_several_axes_keeps_each_image_apart() -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], axis=2)
    graph = assert_matches_onnx_runtime(make_model([node], {"x": SHAPE}, opset=11))
    assert {shape[0] for shape in graph.shapes.values()} == {SHAPE[0]}


def test_elements_are_computed_where_they_lie() -> None:
    """Without the batch's axis, and with boxes of several anchors: nothing has to be moved for these."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Squeeze", ["c", "first"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Mul", ["b", "two"], ["d"]),
        helper.make_node("Max", ["d", "half"], ["e"]),
        helper.make_node("Add", ["e", "a"], ["f"]),
        helper.make_node("Reshape", ["f", "anchors"], ["g"]),
        helper.make_node("Exp", ["g"], ["y"]),
    ]
    constants = {
        "w": weights(8, 3, 1, 1),
        "first": np.array([0]),
        "two": np.array([[2]], np.float32),
        "half": np.array(0.5, np.float32),
        "anchors": np.array([2, 4, 7, 5]),
    }
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (1, 3, 7, 5)}, constants=constants))
    assert "Reshape" not in {type(node.operator).__name__ for node in graph.nodes}
