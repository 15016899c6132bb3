"""Operators that exporters spell out are found, and nothing else is taken for one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from dlfusion.errors import DlfusionError, UnsupportedError
from dlfusion.frontend import load
from dlfusion.ops.softplus import Softplus
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model

SHAPE = (2, 6, 7, 5)

Arrays = Mapping[str, NDArray[Any]]


def kinds(nodes: Sequence[NodeProto], constants: Arrays) -> list[str]:
    """The operators of the graph, which computes what ONNX Runtime does."""
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": SHAPE}, constants=constants))
    assert {shape[0] for shape in graph.shapes.values()} == {SHAPE[0]}
    return [type(node.operator).__name__ for node in graph.nodes]


def stack(reduction: str, axis: int = 0, keepdims: int = 0) -> tuple[list[NodeProto], Arrays]:
    """x, Relu(x) and Tanh(x), stacked and reduced to one."""
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Tanh", ["x"], ["t"])]
    nodes += [helper.make_node("Unsqueeze", [name, "first"], [f"{name}1"]) for name in "xrt"]
    nodes.append(helper.make_node("Concat", ["x1", "r1", "t1"], ["s"], axis=0))
    return [*nodes, *reduced(reduction, axis, keepdims)], {"first": np.array([0]), "axes": np.array([axis])}


def reduced(reduction: str, axis: int, keepdims: int) -> list[NodeProto]:
    """ReduceSum has its axes as an input since opset 13, the others since 18."""
    if reduction == "ReduceSum":
        return [helper.make_node(reduction, ["s", "axes"], ["y"], keepdims=keepdims)]
    doubled = helper.make_node("Identity", ["axes"], ["unused"])
    return [doubled, helper.make_node(reduction, ["s"], ["y"], axes=[axis], keepdims=keepdims)]


@pytest.mark.parametrize("reduction", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
def test_sum_of_a_stack(reduction: str) -> None:
    nodes, constants = stack(reduction)
    assert not {"Concat", "Reshape"} & set(kinds(nodes, constants))


def test_other_sums_of_stacks_are_refused() -> None:
    nodes, constants = stack("ReduceSum", keepdims=1)
    with pytest.raises(UnsupportedError, match="it reduces the batch"):
        load(make_model(nodes, {"x": SHAPE}, constants=constants))


def lookup(order: Sequence[int], back: Sequence[int], indices: object) -> tuple[list[NodeProto], Arrays]:
    nodes = [
        helper.make_node("Transpose", ["x"], ["front"], perm=order),
        helper.make_node("GatherND", ["front", "indices"], ["taken"]),
        helper.make_node("Transpose", ["taken"], ["y"], perm=back),
    ]
    return nodes, {"indices": np.array(indices)}


@pytest.mark.parametrize(
    ("order", "back"), [((1, 0, 2, 3), (1, 0, 2, 3)), ((2, 0, 1, 3), (1, 2, 0, 3)), ((3, 0, 1, 2), (1, 2, 3, 0))]
)
def test_lookup(order: Sequence[int], back: Sequence[int]) -> None:
    assert kinds(*lookup(order, back, [[2], [1], [-1], [0]]))[-1].startswith("Concat")


@pytest.mark.parametrize(
    ("order", "back", "indices"),
    [
        ((1, 0, 2, 3), (1, 0, 3, 2), [[2], [1]]),  # other axes than before
        ((1, 2, 0, 3), (2, 0, 1, 3), [[2], [1]]),  # the others change places
        ((1, 0, 2, 3), (0, 1, 2), [[2, 1], [1, 0]]),  # single elements of two axes
    ],
)
def test_other_lookups_are_refused(order: Sequence[int], back: Sequence[int], indices: object) -> None:
    nodes, constants = lookup(order, back, indices)
    with pytest.raises(UnsupportedError, match="GatherND"):
        load(make_model(nodes, {"x": SHAPE}, constants=constants))


def test_a_damaged_constant_is_reported() -> None:
    nodes, constants = lookup((1, 0, 2, 3), (1, 0, 2, 3), [[2], [1]])
    model = make_model(nodes, {"x": SHAPE}, constants=constants)
    model.graph.initializer[0].raw_data = b"123"
    with pytest.raises(DlfusionError):
        load(model)


def softplus(limit: float, otherwise: str = "x") -> tuple[list[NodeProto], Arrays]:
    nodes = [
        helper.make_node("Mul", ["x", "ten"], ["m"]),
        helper.make_node("Softplus", ["m"], ["s"]),
        helper.make_node("Greater", ["m", "limit"], ["is_large"]),
        helper.make_node("Where", ["is_large", {"x": "m"}.get(otherwise, otherwise), "s"], ["y"]),
    ]
    return nodes, {"ten": np.array(10, np.float32), "limit": np.array(limit, np.float32)}


@pytest.mark.parametrize("limit", [20, 17.5])
def test_softplus_that_hands_large_numbers_through(limit: float) -> None:
    assert Softplus.__name__ in kinds(*softplus(limit))


@pytest.mark.parametrize("divisor", [2.0, 3.0])
def test_softplus_with_a_factor(divisor: float) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["m"]),
        helper.make_node("Softplus", ["m"], ["s"]),
        helper.make_node("Div", ["s", "divisor"], ["d"]),
        helper.make_node("Greater", ["m", "limit"], ["is_large"]),
        helper.make_node("Where", ["is_large", "x", "d"], ["y"]),
    ]
    numbers = {"factor": 2.0, "divisor": divisor, "limit": 20.0}
    constants = {name: np.array(own, np.float32) for name, own in numbers.items()}
    if divisor == numbers["factor"]:
        assert Softplus.__name__ in kinds(nodes, constants)
    else:
        with pytest.raises(UnsupportedError, match="Where"):
            load(make_model(nodes, {"x": SHAPE}, constants=constants))


@pytest.mark.parametrize(("limit", "otherwise"), [(5, "x"), (20, "s")])
def test_other_choices_are_refused(limit: float, otherwise: str) -> None:
    nodes, constants = softplus(limit, otherwise)
    with pytest.raises(UnsupportedError, match="Where"):
        load(make_model(nodes, {"x": SHAPE}, constants=constants))


def repeat(axis: int, how: str, source: str = "x", shape: Sequence[int] = SHAPE) -> tuple[list[NodeProto], Arrays]:
    """Each element of an axis three times."""
    rank = len(shape)
    copies = [1] * (axis + 1) + [3] + [1] * (rank - axis - 1)
    constants = {
        "behind": np.array([axis + 1]),
        "copies": np.array(copies),
        "joined": np.array([size * 3 if place == axis else size for place, size in enumerate(shape)]),
    }
    nodes = [
        helper.make_node("Unsqueeze", [source, "behind"], ["u"]),
        helper.make_node(how, ["u", "copies"], ["v"]),
        helper.make_node("Reshape", ["v", "joined"], ["repeated"]),
        helper.make_node("Relu", ["repeated"], ["y"]),
    ]
    return nodes, constants


@pytest.mark.parametrize("how", ["Tile", "Expand"])
@pytest.mark.parametrize("axis", [2, 3])
def test_repeated_rows_and_columns(axis: int, how: str) -> None:
    assert kinds(*repeat(axis, how)) == ["Resize", "Clip"]


@pytest.mark.parametrize("axis", [1, 2])
def test_repeated_where_channels_are_last(axis: int) -> None:
    turn = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1])
    nodes, constants = repeat(axis, "Tile", "t", (2, 7, 5, 6))
    back = helper.make_node("Transpose", ["z"], ["y"], perm=[0, 3, 1, 2])
    nodes[-1].output[0] = "z"
    assert kinds([turn, *nodes, back], constants) == ["Resize", "Clip"]


def test_repeated_channels() -> None:
    """What grows is the second axis, as the height of a map whose channels would be the last."""
    assert "Resize" in kinds(*repeat(1, "Tile"))


def test_copies_one_after_the_other_are_no_repeat() -> None:
    """The new axis is before the other, so that whole rows follow each other again."""
    nodes, constants = repeat(2, "Tile")
    changed = {**constants, "behind": np.array([2]), "copies": np.array([1, 1, 3, 1, 1])}
    assert "Clip" in kinds(nodes, changed)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_where_channels_are_last(mode: str) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Resize", ["t", "", "", "sizes"], ["r"], mode=mode),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 3, 1, 2]),
    ]
    assert kinds(nodes, {"sizes": np.array([2, 9, 4, 6])}) == ["Resize"]
