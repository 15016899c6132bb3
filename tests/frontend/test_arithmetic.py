"""Operators of several operands under NumPy's broadcasting, and elementary functions, against ONNX Runtime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend import load
from dlfusion.graph.graph import Array, Graph
from dlfusion.ops.affine import Affine
from dlfusion.ops.binary import Binary
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights

BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Mean", "Sum")
MAP = (2, 3, 4, 5)

Shape = tuple[int, ...]


def positive(node_input: str, output: str) -> Any:
    """A node that makes a divisor, a base and an exponent of any activation."""
    return helper.make_node("Softplus", [node_input], [output])


def of_two_activations(kind: str, first: Shape, second: Shape) -> Graph:
    nodes = [positive("a", "p"), positive("b", "q"), helper.make_node(kind, ["p", "q"], ["y"])]
    return assert_matches_onnx_runtime(make_model(nodes, {"a": first, "b": second}))


def of_a_constant(kind: str, constant: Array, shape: Shape, swapped: bool = False) -> Graph:
    names = ["c", "p"] if swapped else ["p", "c"]
    nodes = [positive("x", "p"), helper.make_node(kind, names, ["y"])]
    return assert_matches_onnx_runtime(make_model(nodes, {"x": shape}, constants={"c": constant}))


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MAP, MAP),
        (MAP, (2, 3, 1, 1)),
        (MAP, (2, 1, 4, 5)),
        (MAP, (2, 1, 1, 1)),
        (MAP, (2, 3, 1, 5)),
        (MAP, (2, 1, 4, 1)),
        ((2, 3, 1, 1), (2, 1, 4, 5)),
        ((2, 3, 4, 1), (2, 3, 1, 5)),
        ((1, 3, 4, 5), (4, 5)),
        ((1, 3, 4, 5), (3, 1, 1)),
        ((2, 6), (2, 1)),
        ((2, 3, 7), (2, 1, 7)),
        ((2, 3, 4, 5, 6), (2, 3, 1, 1, 1)),
    ],
)
def test_two_activations(kind: str, first: Shape, second: Shape) -> None:
    of_two_activations(kind, first, second)
    of_two_activations(kind, second, first)


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize(
    ("constant", "shape"),
    [
        ((), MAP),
        ((1,), MAP),
        ((3, 1, 1), MAP),
        ((1, 3, 1, 1), MAP),
        ((5,), MAP),
        ((4, 1), MAP),
        ((1, 1, 4, 5), MAP),
        ((3, 4, 5), MAP),
        ((1, 3, 1, 5), MAP),
        ((1, 3, 4, 5), (2, 3, 1, 1)),
        ((3,), (2, 3)),
        ((1, 3, 7), (2, 3, 7)),
        ((5, 6), (2, 3, 4, 5, 6)),
    ],
)
def test_constants(kind: str, constant: Shape, shape: Shape) -> None:
    of_a_constant(kind, np.abs(weights(*constant)) + np.float32(0.5), shape)
    of_a_constant(kind, np.abs(weights(*constant)) + np.float32(0.5), shape, swapped=True)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 2.5])
def test_powers(exponent: float) -> None:
    of_a_constant("Pow", np.array(exponent, np.float32), MAP)


def test_exponents_may_be_integers() -> None:
    model = make_model([helper.make_node("Pow", ["x", "c"], ["y"])], {"x": MAP}, constants={"c": np.array(3, np.int64)})
    assert_matches_onnx_runtime(model)


def test_divisors_may_be_zero() -> None:
    node = helper.make_node("Div", ["x", "c"], ["y"])
    (only,) = load(
        make_model([node], {"x": (1, 2, 3, 4)}, constants={"c": np.array([0, 1], np.float32).reshape(2, 1, 1)})
    ).nodes
    with np.errstate(all="ignore"):
        result = only.operator.reference(
            [np.ones((1, 2, 3, 4), np.float32)], [np.array([0, 1], np.float32).reshape(2, 1, 1)]
        )
    assert np.isposinf(result[0, 0]).all()
    assert (result[0, 1] == 1).all()


def test_constants_that_do_not_vary_are_kept_small() -> None:
    """What is one number or one per channel can be folded into a convolution, however it is written."""
    full = np.broadcast_to(weights(1, 3, 1, 1), (1, 3, 4, 5)).copy()
    assert isinstance(of_a_constant("Add", full, MAP).nodes[-1].operator, Affine)
    stripes = np.broadcast_to(weights(4, 1), (1, 3, 4, 5)).copy()
    graph = of_a_constant("Mul", stripes, MAP)
    assert isinstance(graph.nodes[-1].operator, Binary)
    assert graph.parameters(graph.nodes[-1])[0].shape == (1, 4, 1)


@pytest.mark.parametrize(
    ("kind", "attributes", "opset"),
    [
        ("Abs", {}, 13),
        ("Ceil", {}, 13),
        ("Celu", {"alpha": 0.7}, 12),
        ("Elu", {"alpha": 0.6}, 7),
        ("Erf", {}, 13),
        ("Exp", {}, 13),
        ("Floor", {}, 13),
        ("Gelu", {}, 20),
        ("Gelu", {"approximate": "tanh"}, 20),
        ("HardSwish", {}, 14),
        ("Log", {}, 13),
        ("Mish", {}, 18),
        ("Neg", {}, 13),
        ("Reciprocal", {}, 13),
        ("Selu", {}, 7),
        ("Selu", {"alpha": 1.5, "gamma": 0.5}, 7),
        ("Softplus", {}, 7),
        ("Softsign", {}, 7),
        ("Sqrt", {}, 13),
        ("ThresholdedRelu", {"alpha": 0.3}, 10),
    ],
)
def test_functions(kind: str, attributes: dict[str, Any], opset: int) -> None:
    source, nodes = "x", []
    if kind in ("Log", "Sqrt", "Reciprocal"):
        source, nodes = "p", [positive("x", "p")]
    nodes.append(helper.make_node(kind, [source], ["y"], **attributes))
    for shape in (MAP, (2, 7), (2, 3, 5)):
        assert_matches_onnx_runtime(make_model(nodes, {"x": shape}, opset=opset))


def test_swish() -> None:
    """ONNX Runtime has no kernel for it yet."""
    graph = load(make_model([helper.make_node("Swish", ["x"], ["y"], alpha=0.5)], {"x": MAP}, opset=24))
    x = weights(*MAP)
    result = graph.nodes[0].operator.reference([x], [])
    np.testing.assert_allclose(result, x / (1 + np.exp(-0.5 * x)), rtol=1e-6)


def test_several_operands() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Max", ["x", "low", "r", "map"], ["m"]),
        helper.make_node("Min", ["m", "high", "b"], ["n"]),
        helper.make_node("Mean", ["n", "x", "low", "b"], ["y"]),
    ]
    constants = {"low": np.array(-0.5, np.float32), "high": np.array([0.75], np.float32), "map": weights(4, 5)}
    assert_matches_onnx_runtime(make_model(nodes, {"x": MAP, "b": (2, 3, 1, 1)}, constants=constants))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((2, 3, 4, 5), (1, 3, 4, 5), "a batch of 1 cannot be repeated"),
        ((2, 3, 4, 5), (3, 4, 5), "a batch of 1 cannot be repeated"),
        ((2, 1, 4, 5), (1, 3, 4, 5), r"broadcast to \(2, 3, 4, 5\), but none has all 2 x 3 channels"),
        ((2, 3, 4, 5, 6), (2, 3, 4, 5, 1), "repeated along some of the last axes only"),
    ],
)
def test_what_cannot_be_repeated(first: Shape, second: Shape, message: str) -> None:
    model = make_model([helper.make_node("Mul", ["a", "b"], ["y"], name="here")], {"a": first, "b": second})
    with pytest.raises(UnsupportedError, match=f"Mul here: .*{message}"):
        load(model)


def test_shapes_that_do_not_broadcast() -> None:
    model = make_model([helper.make_node("Add", ["a", "b"], ["y"], name="here")], {"a": (2, 3), "b": (2, 4)})
    with pytest.raises(ModelError, match=r"shapes \(2, 3\) and \(2, 4\) do not broadcast"):
        load(model)


def test_a_constant_that_varies_along_the_batch() -> None:
    node = helper.make_node("Mul", ["x", "c"], ["y"], name="here")
    with pytest.raises(UnsupportedError, match="varies along axis 0"):
        load(make_model([node], {"x": (2, 3)}, constants={"c": weights(2, 1)}))


def folded(nodes: Sequence[Any], constants: dict[str, Any], shape: Shape = MAP) -> list[str]:
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": shape}, constants=constants))
    return [type(node.operator).__name__ for node in graph.nodes]


def test_logic_on_constants_is_folded() -> None:
    nodes = [
        helper.make_node("Range", ["zero", "five", "one"], ["r"]),
        helper.make_node("Greater", ["r", "one"], ["greater"]),
        helper.make_node("Less", ["r", "three"], ["less"]),
        helper.make_node("Equal", ["r", "zero"], ["equal"]),
        helper.make_node("And", ["greater", "less"], ["and"]),
        helper.make_node("Not", ["equal"], ["not"]),
        helper.make_node("Or", ["and", "equal"], ["or"]),
        helper.make_node("Where", ["or", "high", "low"], ["w"]),
        helper.make_node("Cast", ["not"], ["n"], to=1),
        helper.make_node("Mul", ["w", "n"], ["factor"]),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
    ]
    numbers = {name: np.array(value) for name, value in (("zero", 0), ("one", 1), ("three", 3), ("five", 5))}
    sides = {"high": np.array(2, np.float32), "low": np.array(0.5, np.float32)}
    assert folded(nodes, {**numbers, **sides}) == ["Mul"]


def test_constants_made_from_shapes_are_folded() -> None:
    """As exporters make masks, grids and initial states: everything but the last node depends on shapes only."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "two"], ["h"], axis=0),
        helper.make_node("Slice", ["s", "starts", "ends"], ["tail"]),
        helper.make_node("Unsqueeze", ["h", "axis"], ["h1"]),
        helper.make_node("Concat", ["h1", "ones"], ["column"], axis=0),
        helper.make_node("ConstantOfShape", ["column"], ["zeros"]),
        helper.make_node("Add", ["zeros", "half"], ["halves"]),
        helper.make_node("Expand", ["halves", "tail"], ["map"]),
        helper.make_node("Cast", ["h"], ["height"], to=1),
        helper.make_node("Div", ["map", "height"], ["scaled"]),
        helper.make_node("Add", ["x", "scaled"], ["y"]),
    ]
    constants = {
        "two": np.array(2),
        "starts": np.array([2]),
        "ends": np.array([4]),
        "axis": np.array([0]),
        "ones": np.array([1]),
        "half": np.array(0.5, np.float32),
    }
    assert folded(nodes, constants) == ["Affine"]


def test_casts_that_change_nothing_go_away() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["same"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["same"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["wide"], ["narrow"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["narrow"], ["y"]),
    ]
    assert folded(nodes, {}) == ["Clip"]
    nodes[1].attribute[0].i = TensorProto.FLOAT16
    with pytest.raises(UnsupportedError, match="converts to FLOAT16; only float32 is supported"):
        load(make_model(nodes, {"x": MAP}))


@pytest.mark.parametrize("slopes", [(3, 4, 5), (4, 1), (5,)])
def test_slopes_of_places(slopes: Shape) -> None:
    """PRelu as Keras trains it: a slope for each place of the map."""
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    assert_matches_onnx_runtime(make_model([node], {"x": MAP}, constants={"slope": weights(*slopes)}))


def test_limits_turned_round() -> None:
    node = helper.make_node("Clip", ["x", "low", "high"], ["y"])
    limits = {"low": np.array(0.6, np.float32), "high": np.array(-0.3, np.float32)}
    assert_matches_onnx_runtime(make_model([node], {"x": MAP}, constants=limits))
