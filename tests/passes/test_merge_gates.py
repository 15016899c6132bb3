"""The ways in which exporters write activation functions become one operator; others are left alone."""

import numpy as np
import pytest
from onnx import ModelProto, helper

from dlfusion.layers.describe import describe
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights

Form = tuple[tuple[str, tuple[str, ...]], ...]
"""Operators and their inputs: `x`, the result `v<n>` of the n-th operator, or a number."""

FORMS: dict[str, Form] = {
    "Swish": (("Sigmoid", ("x",)), ("Mul", ("v0", "x"))),
    "Swish of a scaled activation": (("Mul", ("x", "1.702")), ("Sigmoid", ("v0",)), ("Mul", ("x", "v1"))),
    "HardSwish": (("Add", ("x", "3")), ("Clip", ("v0", "0", "6")), ("Div", ("v1", "6")), ("Mul", ("x", "v2"))),
    "HardSwish divided last": (
        ("Add", ("x", "3")),
        ("Clip", ("v0", "0", "6")),
        ("Mul", ("x", "v1")),
        ("Div", ("v2", "6")),
    ),
    "Mish": (("Softplus", ("x",)), ("Tanh", ("v0",)), ("Mul", ("x", "v1"))),
    "Gelu": (
        ("Div", ("x", "1.4142135623730951")),
        ("Erf", ("v0",)),
        ("Add", ("v1", "1")),
        ("Mul", ("x", "v2")),
        ("Mul", ("v3", "0.5")),
    ),
    "Gelu halved first": (
        ("Mul", ("x", "0.5")),
        ("Mul", ("x", "0.7071067811865476")),
        ("Erf", ("v1",)),
        ("Add", ("v2", "1")),
        ("Mul", ("v0", "v3")),
    ),
    "Gelu halved within": (
        ("Div", ("x", "1.4142135623730951")),
        ("Erf", ("v0",)),
        ("Add", ("v1", "1")),
        ("Mul", ("v2", "0.5")),
        ("Mul", ("x", "v3")),
    ),
}

OTHERS: dict[str, tuple[Form, tuple[str, ...]]] = {
    "another scale": ((("Mul", ("x", "0.6")), ("Erf", ("v0",)), ("Add", ("v1", "1")), ("Mul", ("x", "v2"))), ()),
    "two functions": ((("Softplus", ("x",)), ("Tanh", ("x",)), ("Mul", ("v0", "v1"))), ()),
    "a shifted activation": ((("Add", ("x", "1")), ("Sigmoid", ("x",)), ("Mul", ("v0", "v1"))), ()),
    "a shifted product": (
        (("Add", ("x", "3")), ("Clip", ("v0", "0", "6")), ("Mul", ("x", "v1")), ("Add", ("v2", "0.1666666667"))),
        (),
    ),
    "a factor that is also an output": (FORMS["Swish"], ("v0",)),
    "the product of another activation": (
        (("Relu", ("x",)), ("Tanh", ("x",)), ("Sigmoid", ("v0",)), ("Mul", ("v1", "v2"))),
        (),
    ),
}


def model(form: Form, outputs: tuple[str, ...] = ()) -> ModelProto:
    nodes = [helper.make_node(kind, list(names), [f"v{index}"]) for index, (kind, names) in enumerate(form)]
    numbers = {name for _, names in form for name in names if name[0].isdigit()}
    constants = {name: np.array(float(name), np.float32) for name in numbers}
    return make_model(nodes, {"x": (2, 3, 4, 5)}, constants=constants, outputs=(f"v{len(form) - 1}", *outputs))


@pytest.mark.parametrize("name", FORMS)
def test_products_that_are_one_operator(name: str) -> None:
    (node,) = assert_matches_onnx_runtime(model(FORMS[name])).nodes
    assert node.operator.label == name.split()[0]
    assert len(node.origins) == len(FORMS[name])


@pytest.mark.parametrize("name", OTHERS)
def test_other_products_stay(name: str) -> None:
    form, outputs = OTHERS[name]
    graph = assert_matches_onnx_runtime(model(form, outputs))
    assert any(node.operator.label == "Mul" for node in graph.nodes)


def test_an_activation_that_is_read_twice_joins_the_layer_before_it() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["c", "s"], ["y"]),
    ]
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (1, 3, 4, 5)}, constants={"w": weights(4, 3, 1, 1)}))
    (layer,) = describe(graph).layers
    assert [node.operator.label for node in layer.nodes] == ["Conv 1x1", "Swish"]
