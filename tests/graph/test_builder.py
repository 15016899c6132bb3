import numpy as np
import pytest

from dlfusion.graph.builder import GraphBuilder
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.p_relu import PRelu


def test_shapes_are_inferred_and_names_given() -> None:
    builder = GraphBuilder("tiny")
    x = builder.input("x", (1, 3, 8, 8), (3, 8, 8))
    shared = builder.constant("slope", np.full(4, 0.25))
    convolved = builder.node(Conv((3, 3)), [x], [np.ones((4, 3, 3, 3)), np.zeros(4)], origins=("conv1",))
    bent = builder.node(PRelu(), [convolved], [shared], name="bend", output="bent")
    builder.output(bent, "y", (4, 6, 6))
    graph = builder.build()

    assert graph.shapes == {"x": (1, 3, 8, 8), "Conv_0": (1, 4, 6, 6), "bent": (1, 4, 6, 6)}
    assert [(node.name, node.inputs, node.output, node.origins) for node in graph.nodes] == [
        ("Conv_0", ("x", "Conv_0.0", "Conv_0.1"), "Conv_0", ("conv1",)),
        ("bend", ("Conv_0", "slope"), "bent", ()),
    ]
    assert all(array.dtype == np.float32 for array in graph.constants.values())
    assert graph.inputs[0].array_shape == (3, 8, 8)
    assert (graph.outputs[0].name, graph.outputs[0].value, graph.outputs[0].array_shape) == ("y", "bent", (4, 6, 6))


def test_mistakes_are_refused_by_name() -> None:
    builder = GraphBuilder("tiny")
    builder.input("x", (1, 3, 8, 8))
    builder.input("z", (1, 3, 8, 7))
    with pytest.raises(ValueError, match=r"input empty: it is \(1, 0, 8, 8\), but every size must be at least 1"):
        builder.input("empty", (1, 0, 8, 8))
    with pytest.raises(ValueError, match="tiny has no outputs"):
        builder.build()
    with pytest.raises(ValueError, match="tiny already has a value 'x'"):
        builder.node(Clip(), ["z"], output="x")
    with pytest.raises(ValueError, match=r"node sum: Add of .*\(1, 3, 8, 7\): it must have its sizes or 1"):
        builder.node(Add(), ["x", "z"], name="sum")
    with pytest.raises(ValueError, match="tiny has no value 'q' yet"):
        builder.output("q")
    with pytest.raises(ValueError, match="tiny has no constant 'slope'"):
        builder.node(PRelu(), ["x"], ["slope"])
    # A refused node leaves nothing behind.
    assert builder.node(Clip(), ["x"], name="sum") == "sum"


def test_digest_depends_on_structure_and_constants_but_not_on_names_of_nodes() -> None:
    def digest(operator: Conv, weight: float, name: str) -> str:
        builder = GraphBuilder("tiny")
        builder.input("x", (1, 1, 8, 8))
        builder.output(builder.node(operator, ["x"], [np.full((1, 1, 3, 3), weight), [0]], name=name, output="y"))
        return builder.build().digest

    first = digest(Conv((3, 3)), 1, "a")
    assert first == digest(Conv((3, 3)), 1, "b")
    assert first != digest(Conv((3, 3)), 2, "a")
    assert first != digest(Conv((3, 3), (2, 2)), 1, "a")
