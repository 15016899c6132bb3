"""Normalizations, reductions and products in the forms that exporters write, against ONNX Runtime."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from dlfusion.errors import UnsupportedError
from dlfusion.frontend import load
from dlfusion.graph.graph import Graph
from dlfusion.passes import clean
from dlfusion.runtime.reference import evaluate
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights

Constants = dict[str, NDArray[Any]]
SHAPE = (2, 6, 7, 5)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """A node whose inputs are words of a text."""
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def integers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def labels(graph: Graph) -> list[str]:
    """What the graph's nodes are, in order."""
    return [one.operator.label for one in graph.nodes]


def check(
    nodes: list[NodeProto], constants: Constants | None = None, shape: tuple[int, ...] = SHAPE, opset: int = 17
) -> Graph:
    """The clean graph of nodes from x to y, which computes what ONNX Runtime does."""
    return assert_matches_onnx_runtime(make_model(nodes, {"x": shape}, constants=constants, opset=opset))


REDUCTIONS = ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare")
AXES = [(2, 3), (-1, -2), (1,), (1, 2, 3), (2,), (3,), (1, 3), (1, -2)]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("operator", [*REDUCTIONS, "ReduceLogSumExp"])
def test_reductions(operator: str, keepdims: int, axes: tuple[int, ...]) -> None:
    is_input = operator == "ReduceSum"
    for opset in (11, 13, 18, 20):
        if opset >= 18 or (is_input and opset >= 13):
            check([node(operator, "x axes", "y", keepdims=keepdims)], {"axes": integers(*axes)}, opset=opset)
        else:
            check([node(operator, "x", "y", keepdims=keepdims, axes=axes)], opset=opset)


@pytest.mark.parametrize("axes", AXES)
def test_logarithms_of_sums(axes: tuple[int, ...]) -> None:
    check([node("Exp", "x", "e"), node("ReduceLogSum", "e", "y", axes=axes)])


@pytest.mark.parametrize("axes", [(1,), (2, 3), (3,)])
def test_logarithms_of_sums_of_numbers_whose_exponentials_overflow(axes: tuple[int, ...]) -> None:
    nodes = [node("Mul", "x scale", "m"), node("Add", "m shift", "s"), node("ReduceLogSumExp", "s", "y", axes=axes)]
    check(nodes, {"scale": np.full(1, 90, np.float32), "shift": np.full(1, 40, np.float32)})


def test_the_logarithm_of_a_sum_of_infinite_exponentials() -> None:
    shape, infinity = (1, 2, 2, 3), np.float32(np.inf)
    rows = np.array([[-infinity] * 3, [infinity, 0, -infinity]], np.float32)
    graph = clean(load(make_model([node("ReduceLogSumExp", "x", "y", axes=[3])], {"x": shape})))
    (result,) = evaluate(graph, [np.broadcast_to(rows, shape)])
    np.testing.assert_array_equal(result.reshape(2, 2), [[-infinity, infinity]] * 2)


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"])
@pytest.mark.parametrize("shape", [SHAPE, (3, 6), (2, 6, 9), (2, 1, 3, 4)])
def test_reductions_of_channels(operator: str, shape: tuple[int, ...]) -> None:
    check([node(operator, "x", "y", axes=[1])], shape=shape)


def test_reductions_of_everything_and_nothing() -> None:
    check([node("ReduceMean", "x", "y", keepdims=0)], shape=(1, 6, 7, 5))
    check([node("ReduceSum", "x", "y")], shape=(1, 6, 7, 5))
    graph = check([node("ReduceSum", "x", "r", noop_with_empty_axes=1), node("Relu", "r", "y")])
    assert labels(graph) == ["Relu"]
    graph = check([node("ReduceMax", "x", "r", axes=[2, 3]), node("Relu", "r", "y")], shape=(2, 6, 1, 1))
    assert labels(graph) == ["Relu"]
    with pytest.raises(UnsupportedError, match=r"reduces the batch of \(2, 6, 7, 5\), axis 0"):
        load(make_model([node("ReduceMean", "x", "y", axes=[0])], {"x": SHAPE}))
    with pytest.raises(UnsupportedError, match=r"reduces axes \[2, 4\] of .*; channels, all behind them or neigh"):
        load(make_model([node("ReduceL2", "x", "y", axes=[2, 4])], {"x": (1, 2, 3, 4, 5)}))


def test_global_response_normalization() -> None:
    """ConvNeXt V2 (arXiv 2301.00808): each channel's norm over the map, relative to the mean of these."""
    check(
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("ReduceL2", "t", "norm", axes=[1, 2]),
            node("ReduceMean", "norm", "mean", axes=[-1]),
            node("Add", "mean epsilon", "divisor"),
            node("Div", "norm divisor", "gate"),
            node("Mul", "t gate", "gated"),
            node("Mul", "gated scale", "scaled"),
            node("Add", "scaled shift", "shifted"),
            node("Add", "shifted t", "sum"),
            node("Transpose", "sum", "y", perm=[0, 3, 1, 2]),
        ],
        {"epsilon": np.array(1e-6, np.float32), "scale": weights(1, 1, 1, 6), "shift": weights(1, 1, 1, 6, seed=1)},
    )


SCALES: Constants = {"scale": weights(6), "shift": weights(6, seed=1)}


@pytest.mark.parametrize("shape", [SHAPE, (2, 6, 9), (1, 6, 4, 3, 2)])
def test_instance_normalization(shape: tuple[int, ...]) -> None:
    graph = check([node("InstanceNormalization", "x scale shift", "y", epsilon=1e-3)], SCALES, shape)
    assert "GroupNormalize g6" in labels(graph)


def test_group_normalization() -> None:
    of_groups: Constants = {"scale": weights(3), "shift": weights(3, seed=1)}
    check([node("GroupNormalization", "x scale shift", "y", num_groups=3)], of_groups, opset=18)
    check([node("GroupNormalization", "x scale shift", "y", num_groups=2)], SCALES, opset=21)


def test_group_normalization_as_pytorch_writes_it() -> None:
    constants: Constants = {"groups": integers(0, 3, -1), "one": weights(3) * 0 + 1, "zero": weights(3) * 0}
    constants |= {"back": integers(*SHAPE), "scale": weights(6, 1, 1), "shift": weights(6, 1, 1, seed=1)}
    nodes = [
        node("Reshape", "x groups", "r"),
        node("InstanceNormalization", "r one zero", "n"),
        node("Reshape", "n back", "b"),
        node("Mul", "b scale", "m"),
        node("Add", "m shift", "y"),
    ]
    assert labels(check(nodes, constants)) == ["GroupNormalize g3", "Affine"]


def test_layer_normalization_of_maps() -> None:
    every: Constants = {"scale": weights(6, 7, 5), "shift": weights(6, 7, 5, seed=1)}
    check([node("LayerNormalization", "x scale shift", "y", axis=1)], every)
    equal: Constants = {"scale": weights(6, 1, 1) + np.zeros((6, 7, 5), np.float32)}
    graph = check([node("LayerNormalization", "x scale", "y", axis=1, epsilon=1e-2)], equal)
    assert labels(graph) == ["GroupNormalize g1", "Affine"]
    check([node("LayerNormalization", "x scale shift", "y")], SCALES, shape=(3, 6))


@pytest.mark.parametrize(("shape", "axis"), [(SHAPE, 2), (SHAPE, -2), ((1, 4, 3, 5, 2), 2), ((2, 4, 3, 5, 2), 3)])
def test_layer_normalization_of_places(shape: tuple[int, ...], axis: int) -> None:
    sizes = shape[axis:]
    constants: Constants = {
        "scale": weights(*sizes),
        "shift": weights(*sizes, seed=1),
        "one": np.ones(sizes, np.float32),
    }
    check([node("LayerNormalization", "x scale shift", "y", axis=axis)], constants, shape)
    graph = check([node("LayerNormalization", "x one", "y", axis=axis, epsilon=1e-2)], constants, shape)
    assert [label for label in labels(graph) if not label.startswith("Reshape")][1:] == []


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_statistics_of_layer_normalization(axis: int) -> None:
    constants: Constants = {"scale": weights(*SHAPE[axis:]), "shift": weights(*SHAPE[axis:], seed=1)}
    normalize = helper.make_node(
        "LayerNormalization", ["x", "scale", "shift"], ["n", "mean", "deviation"], axis=axis, epsilon=1e-2
    )
    spread = [normalize, node("Sub", "n mean", "d"), node("Mul", "d deviation", "y")]
    check(spread, constants)
    check([normalize, node("Add", "n mean", "y")], constants)


def test_conv_next_moves_no_data() -> None:
    """A block of ConvNeXt: between its transposes everything happens for each place."""
    constants: Constants = {"d": weights(6, 1, 3, 3), "w": weights(6, 9), "v": weights(9, 6), "b": weights(9), **SCALES}
    nodes = [
        node("Conv", "x d", "c", group=6, pads=[1, 1, 1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "t scale shift", "l"),
        node("MatMul", "l w", "m"),
        node("Add", "b m", "a"),
        node("Sigmoid", "a", "s"),
        node("Mul", "a s", "g"),
        node("MatMul", "g v", "n"),
        node("Mul", "n scale", "f"),
        node("Transpose", "f", "u", perm=[0, 3, 1, 2]),
        node("Add", "x u", "y"),
    ]
    graph = check(nodes, constants)
    assert not any("Transpose" in label or "Reshape" in label for label in labels(graph))
    assert len(graph.nodes) == 7


def test_tokens_move_no_data() -> None:
    """Maps as lists of tokens, N x places x C, normalized, reduced, multiplied by matrices and made maps again."""
    constants: Constants = {"tokens": integers(2, 6, 35), "w": weights(6, 4), **SCALES, "map": integers(2, 4, 7, 5)}
    nodes = [
        node("Reshape", "x tokens", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]),
        node("LayerNormalization", "t scale shift", "l"),
        node("ReduceMean", "l", "mean", axes=[1]),
        node("Mul", "l mean", "scaled"),
        node("MatMul", "scaled w", "m"),
        node("Softmax", "m", "s", axis=-1),
        node("Transpose", "s", "u", perm=[0, 2, 1]),
        node("Reshape", "u map", "y"),
    ]
    assert not any("Transpose" in label or "Reshape" in label for label in labels(check(nodes, constants)))


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
@pytest.mark.parametrize("operator", ["LayerNormalization", "LpNormalization", "LogSoftmax", "Softmax", "MatMul"])
def test_last_axis(operator: str, rank: int) -> None:
    inputs = {"LayerNormalization": "x scale shift", "MatMul": "x matrix"}.get(operator, "x")
    constants: Constants = {"matrix": weights(6, 4), **SCALES}
    for shape in ((*(2, 3, 4, 2)[: rank - 1], 6), (*(2, 1, 1, 1)[: rank - 1], 6)):
        used = {name: array for name, array in constants.items() if name in inputs.split()}
        check([node(operator, inputs, "y")], used, shape)


@pytest.mark.parametrize("axis", [1, -3])
@pytest.mark.parametrize("operator", ["LpNormalization", "LogSoftmax"])
def test_channels(operator: str, axis: int) -> None:
    check([node(operator, "x", "y", axis=axis)])
    if operator == "LogSoftmax":
        check([node(operator, "x", "y", axis=axis)], opset=11)
    else:
        check([node(operator, "x", "y", axis=axis, p=1)])


@pytest.mark.parametrize("operator", ["LpNormalization", "LogSoftmax", "Softmax"])
def test_axes_between(operator: str) -> None:
    check([node(operator, "x", "y", axis=2)])
    check([node(operator, "x", "y", axis=2)], shape=(2, 3, 4, 2, 5))
    with pytest.raises(UnsupportedError, match=r"it works along axis 0 of \(2, 6, 7, 5\), the batch"):
        load(make_model([node(operator, "x", "y", axis=0)], {"x": SHAPE}))


def test_reductions_with_channels_last() -> None:
    for operator in ("ReduceMean", "ReduceMax"):
        for keepdims in (0, 1):
            for axes in ((1, 2), (3,), (-1, 1, 2), (1,), (0,)):
                nodes = [
                    node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
                    node(operator, "t", "y", axes=axes, keepdims=keepdims),
                ]
                check(nodes, shape=(1, 6, 7, 5))


def test_squeeze_and_excite_with_channels_last() -> None:
    constants: Constants = {"w": weights(6, 3), "v": weights(3, 6)}
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("ReduceMean", "t", "p", axes=[1, 2]),
        node("MatMul", "p w", "a"),
        node("Relu", "a", "r"),
        node("MatMul", "r v", "b"),
        node("HardSigmoid", "b", "s"),
        node("Mul", "t s", "m"),
        node("Transpose", "m", "y", perm=[0, 3, 1, 2]),
    ]
    assert len(check(nodes, constants).nodes) == 6


def test_gates_of_one_place_with_channels_last() -> None:
    """Factors that were made a list, N x C, and got their axes back; a product of one token and its bias."""
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("ReduceMean", "t", "p", axes=[1, 2], keepdims=0),
        node("Unsqueeze", "p axes", "s"),
        node("Mul", "t s", "m"),
        node("Transpose", "m", "y", perm=[0, 3, 1, 2]),
    ]
    assert labels(check(nodes, {"axes": integers(1, 2)})) == ["GlobalAveragePool", "Mul"]
    nodes = [node("MatMul", "x w", "m"), node("Add", "m v", "y")]
    assert labels(check(nodes, {"w": weights(3, 6), "v": weights(6)}, shape=(2, 1, 3))) == ["Gemm"]


def test_tokens_that_come_as_such() -> None:
    """A mixer's block on an input N x places x C: its constants belong to the last axis, its maps meet."""
    constants: Constants = {"w": weights(6, 6), "b": weights(6), **SCALES, "map": integers(2, 3, 4, 6)}
    nodes = [
        node("LayerNormalization", "x scale shift", "l"),
        node("MatMul", "l w", "m"),
        node("Add", "m b", "a"),
        node("ReduceMean", "a", "p", axes=[1]),
        node("Mul", "p a", "g"),
        node("Add", "x g", "r"),
        node("Mul", "r b", "y"),
    ]
    check(nodes, {name: array for name, array in constants.items() if name != "map"}, shape=(2, 12, 6))
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t tokens", "a"),
        node("Reshape", "x list", "l"),
        node("Transpose", "l", "b", perm=[0, 2, 1]),
        node("Reshape", "b other", "c"),
        node("Relu", "c", "d"),
        node("Reshape", "d tokens", "e"),
        node("Add", "a e", "y"),
    ]
    check(nodes, {"tokens": integers(2, 35, 6), "list": integers(2, 6, 35), "other": integers(2, 5, 7, 6)})


def test_flattened_channels_last() -> None:
    """As TensorFlow flattens: the order of weights changes, not that of data."""
    nodes = [
        node("Relu", "x", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t flat", "f"),
        node("Gemm", "f w", "y"),
    ]
    graph = check(nodes, {"flat": integers(-1, 210), "w": weights(210, 4)})
    assert labels(graph) == ["Relu", "Gemm"]


@pytest.mark.parametrize("perm", [(0, 1, 3, 2), (0, 3, 2, 1), (0, 3, 1, 2), (0, 2, 1, 3), (0, 2, 3, 1)])
def test_orders_of_axes(perm: tuple[int, ...]) -> None:
    graph = check([node("Relu", "x", "r"), node("Transpose", "r", "y", perm=perm)])
    assert len(graph.nodes) == 2


@pytest.mark.parametrize("perm", [(0, 1, 3, 2, 4), (0, 4, 2, 3, 1), (0, 3, 4, 1, 2), (0, 2, 3, 4, 1), (0, 4, 3, 2, 1)])
def test_orders_of_more_axes(perm: tuple[int, ...]) -> None:
    check([node("Transpose", "x", "y", perm=perm)], shape=(2, 3, 4, 5, 6))


def test_orders_that_move_the_batch() -> None:
    with pytest.raises(UnsupportedError, match=r"perm \[1, 0, 3, 2\] of \(2, 6, 7, 5\) moves the batch"):
        load(make_model([node("Transpose", "x", "y", perm=(1, 0, 3, 2))], {"x": SHAPE}))


def test_channels_last_is_undone_where_it_matters() -> None:
    """What adds along the map, reshapes across it or squeezes sees ONNX's axes."""
    turn = node("Transpose", "x", "t", perm=[0, 2, 3, 1])
    check([turn, node("Flatten", "t", "y")])
    check([turn, node("Squeeze", "t", "y")], shape=(2, 6, 7, 1))
    check([turn, node("Reshape", "t shape", "y")], {"shape": integers(2, 42, 5)})
    check([turn, node("Concat", "t t", "y", axis=3)])
    check([turn, node("Identity", "t", "i"), node("GlobalAveragePool", "i", "y")])


def test_expand() -> None:
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("Expand", "p shape", "e"),
        node("Mul", "x e", "y"),
    ]
    check(nodes, {"shape": integers(*SHAPE)})
    check([node("Relu", "x", "r"), node("Expand", "r shape", "y")], {"shape": integers(1, 1, 1)})
    check([node("Expand", "x shape", "y")], {"shape": integers(2, 6, 7, 5)}, shape=(2, 6, 1, 5))
    mask = [node("ReduceMax", "x", "m", axes=[1]), node("Expand", "m shape", "e"), node("Mul", "x e", "y")]
    check(mask, {"shape": integers(*SHAPE)})
    check([node("Expand", "x shape", "y")], {"shape": integers(2, 6, 7, 5)}, shape=(2, 1, 1, 1))
    with pytest.raises(
        UnsupportedError, match=r"repeats \(1, 6, 7, 5\) to \(2, 6, 7, 5\); the batch, axis 0, cannot grow"
    ):
        load(make_model([node("Expand", "x shape", "y")], {"x": (1, 6, 7, 5)}, constants={"shape": integers(*SHAPE)}))


def test_products() -> None:
    check([node("MatMul", "w x", "y")], {"w": weights(4, 6)}, shape=(2, 6, 9))
    check([node("MatMul", "x w", "y")], {"w": weights(1, 1, 5, 4)})
    check([node("Gemm", "x w", "y", transA=1)], {"w": weights(1, 4)}, shape=(1, 6))
    check([node("Gemm", "x w b", "y", alpha=0.5, beta=3.0)], {"w": weights(6, 4), "b": weights(1, 1)}, shape=(3, 6))
    with pytest.raises(UnsupportedError, match="transA is 1; only 0 is supported"):
        load(make_model([node("Gemm", "x w", "y", transA=1)], {"x": (3, 6)}, constants={"w": weights(3, 4)}))
