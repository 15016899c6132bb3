"""Normalizations that are spelled out are found, and nothing else is taken for one."""

import numpy as np
import pytest
from onnx import NodeProto, helper

from dlfusion.frontend.decomposed import compose_normalizations
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
        assert compose_normalizations(read) is read


def test_axes_of_another_kind_are_no_axes() -> None:
    """An attribute that the operator set does not know may hold anything."""
    nodes = spelled([1])
    for one in nodes:
        if one.op_type == "ReduceMean":
            del one.attribute[:]
            one.attribute.append(helper.make_attribute("axes", "all"))
    model = make_model(nodes, {"x": (1, 6, 7, 5)}, constants=used(nodes, NUMBERS), opset=18)
    read = prepared_model(model, None, {})
    assert compose_normalizations(read) is read


@pytest.mark.parametrize("axes", [[0, 2, 3], [1], [2, 3], [1, 2, 3], [3]])
def test_mean_variance_normalization(axes: list[int]) -> None:
    check([node("MeanVarianceNormalization", "x", "y", axes=axes)], shape=(1, 6, 7, 5))


def tensorflow_form(axes: list[int], shift: str = "Add", factor: str = "scale") -> list[NodeProto]:
    """Scale and shift of the channels of t, by a factor that stands for the deviation and the scale."""
    nodes = spelled(axes, square="Mul", source="t")[:-1]
    inverse = {"scale": [node("Mul", "i scale", "f")], "": [node("Identity", "i", "f")]}[factor]
    shifts = {
        "Add": [node("Neg", "m", "z"), node("Mul", "z f", "w"), node("Add", "w shift", "u")],
        "Sub": [node("Mul", "f m", "w"), node("Sub", "shift w", "u")],
    }[shift]
    return [
        *nodes[:6],
        node("Reciprocal", "s", "i"),
        *inverse,
        node("Mul", "t f", "p"),
        *shifts,
        node("Add", "p u", "n"),
    ]


@pytest.mark.parametrize("shift", ["Add", "Sub"])
@pytest.mark.parametrize("factor", ["scale", ""])
def test_layer_normalization_of_tensorflow(shift: str, factor: str) -> None:
    """Over the channels of each place: the product of deviations and scales would vary along all axes."""
    constants = {**NUMBERS, "scale": weights(6), "shift": weights(6, seed=1)}
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        *tensorflow_form([3], shift, factor),
        node("Transpose", "n", "y", perm=[0, 3, 1, 2]),
    ]
    assert labels(check(nodes, used(nodes, constants))) == ["LayerNormalize", "Affine"]


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization_of_tensorflow(groups: int) -> None:
    """Groups of channels that are last: all axes but that of the groups."""
    sizes = (1, 1, 1, groups, 6 // groups)
    constants = {
        **NUMBERS,
        "scale": weights(*sizes),
        "shift": weights(*sizes, seed=1),
        "split": integers(-1, 7, 5, groups, 6 // groups),
        "joined": integers(-1, 7, 5, 6),
    }
    nodes = [
        node("Transpose", "x", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last split", "t"),
        *tensorflow_form([1, 2, 4]),
        node("Reshape", "n joined", "j"),
        node("Transpose", "j", "y", perm=[0, 3, 1, 2]),
    ]
    graph = check(nodes, used(nodes, constants))
    assert [label for label in labels(graph) if "Normalize" in label] == [f"GroupNormalize g{groups}"]
    assert {shape[0] for shape in graph.shapes.values()} == {2}


def test_another_mean_is_none() -> None:
    """What is subtracted is the mean of other axes than the deviation is of."""
    constants = {**NUMBERS, "scale": weights(6, 1, 1), "shift": weights(6, 1, 1, seed=1)}
    nodes = [node("Identity", "x", "t"), *tensorflow_form([2, 3]), node("Identity", "n", "y")]
    for one in nodes:
        if one.op_type == "Neg":
            one.input[0] = "other"
    nodes.insert(1, node("ReduceMean", "x", "other", axes=[1]))
    assert not any("Normalize" in label for label in labels(check(nodes, used(nodes, constants))))
