"""Normalizations that are spelled out are found, and nothing else is taken for one."""

import numpy as np
import pytest
from onnx import NodeProto

from dlfusion.frontend.decomposed import compose
from dlfusion.frontend.prepared import prepared_model
from tests.frontend.test_normalizations import Constants, check, integers, labels, node
from tests.support.onnx_models import make_model, weights

NUMBERS: Constants = {
    name: np.array(value, np.float32) for name, value in {"two": [2], "three": 3, "epsilon": 1e-3, "one": 1}.items()
}


def spelled(axes: list[int], square: str = "Pow", root: str = "Div", source: str = "x") -> list[NodeProto]:
    """A normalization of `source` over axes, as n."""
    squares = {"Pow": node("Pow", "d two", "q"), "Mul": node("Mul", "d d", "q")}
    roots = {
        "Div": [node("Div", "d s", "n")],
        "Reciprocal": [node("Reciprocal", "s", "i"), node("Mul", "d i", "n")],
        "one": [node("Div", "one s", "i"), node("Mul", "i d", "n")],
        "again": [node("Sub", f"{source} m", "d2"), node("Div", "d2 s", "n")],
    }
    return [
        node("ReduceMean", source, "m", axes=axes),
        node("Sub", f"{source} m", "d"),
        squares[square],
        node("ReduceMean", "q", "v", axes=axes),
        node("Add", "v epsilon", "e"),
        node("Sqrt", "e", "s"),
        *roots[root],
    ]


def used(nodes: list[NodeProto], constants: Constants) -> Constants:
    """The constants that the nodes read."""
    read = {name for one in nodes for name in one.input}
    return {name: array for name, array in constants.items() if name in read}


@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("root", ["Div", "Reciprocal", "one", "again"])
@pytest.mark.parametrize(("axes", "label"), [([1], "LayerNormalize"), ([2, 3], "GroupNormalize g6")])
def test_forms(square: str, root: str, axes: list[int], label: str) -> None:
    constants = {**NUMBERS, "scale": weights(6, 1, 1), "shift": weights(6, 1, 1, seed=1)}
    nodes = [*spelled(axes, square, root), node("Mul", "n scale", "k"), node("Add", "k shift", "y")]
    assert labels(check(nodes, used(nodes, constants))) == [label, "Affine"]


def test_of_channels_that_are_last() -> None:
    constants = {**NUMBERS, "scale": weights(6), "shift": weights(6, seed=1)}
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        *spelled([-1], source="t"),
        node("Mul", "n scale", "k"),
        node("Add", "k shift", "l"),
        node("Transpose", "l", "y", perm=[0, 3, 1, 2]),
    ]
    assert labels(check(nodes, used(nodes, constants))) == ["LayerNormalize", "Affine"]


def test_axes_as_input() -> None:
    nodes = spelled([1])
    for one in nodes:
        if one.op_type == "ReduceMean":
            del one.attribute[:]
            one.input.append("axes")
    nodes[-1].output[0] = "y"
    constants = {**NUMBERS, "axes": integers(1)}
    assert labels(check(nodes, used(nodes, constants), opset=18)) == ["LayerNormalize"]


def test_others_are_left_alone() -> None:
    """Other axes for the variance, another difference, or a cube."""
    changes = {3: node("ReduceMean", "q", "v", axes=[2, 3]), 1: node("Sub", "m x", "d"), 2: node("Pow", "d three", "q")}
    for place, other in changes.items():
        nodes = spelled([1])
        nodes[place] = other
        nodes[-1].output[0] = "y"
        model = make_model(nodes, {"x": (2, 6, 7, 5)}, constants=used(nodes, NUMBERS))
        read = prepared_model(model, None, {})
        assert compose(read) is read


@pytest.mark.parametrize("axes", [[0, 2, 3], [1], [2, 3], [1, 2, 3], [3]])
def test_mean_variance_normalization(axes: list[int]) -> None:
    check([node("MeanVarianceNormalization", "x", "y", axes=axes)], shape=(1, 6, 7, 5))
