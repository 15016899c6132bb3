"""What PyTorch's exporters write for parts of CNNs: channels by their number, context blocks, standardized weights."""

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from dlfusion.errors import UnsupportedError
from dlfusion.frontend import load
from dlfusion.ops.concat import Concat
from dlfusion.passes import clean
from dlfusion.runtime.reference import evaluate
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights


def test_each_channel_scaled_by_itself() -> None:
    """GoogLeNet and Inception v3 with torchvision's weights bring their input to other statistics this way."""
    nodes, parts = [], []
    for channel in range(3):
        nodes += [
            helper.make_node("Gather", ["x", f"index {channel}"], [f"plane {channel}"], axis=1),
            helper.make_node("Unsqueeze", [f"plane {channel}", "axis"], [f"map {channel}"]),
            helper.make_node("Mul", [f"map {channel}", f"factor {channel}"], [f"part {channel}"]),
        ]
        parts.append(f"part {channel}")
    nodes.append(helper.make_node("Concat", parts, ["y"], axis=1))
    constants = {f"index {channel}": np.array(channel) for channel in range(3)}
    factors = {f"factor {channel}": np.float32(channel + 0.5) for channel in range(3)}
    constants |= {"axis": np.array([1])} | {name: np.array(factor) for name, factor in factors.items()}
    assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 3, 5, 4)}, constants=constants))


def test_gather_nd_of_whole_channels() -> None:
    """PyTorch's x[:, [2, 0, 1, 1]]; that channels come first in between must not move images, which kernels cannot."""
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Transpose", ["positive"], ["first"], perm=[1, 0, 2, 3]),
        helper.make_node("GatherND", ["first", "indices"], ["taken"]),
        helper.make_node("Transpose", ["taken"], ["y"], perm=[1, 0, 2, 3]),
    ]
    indices = np.array([[2], [0], [1], [1]])
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 3, 4, 5)}, constants={"indices": indices}))
    assert {shape[0] for shape in graph.shapes.values()} == {2}


@pytest.mark.parametrize(("count", "nodes"), [(64, 1), (65, 2), (130, 4)])
def test_many_activations_are_joined_in_turns(count: int, nodes: int) -> None:
    scales = {f"scale {index}": weights(1, seed=index) for index in range(count)}
    scaled = [helper.make_node("Mul", ["x", name], [f"{name} of x"]) for name in scales]
    join = helper.make_node("Concat", [node.output[0] for node in scaled], ["y"], axis=1)
    graph = assert_matches_onnx_runtime(make_model([*scaled, join], {"x": (1, 2, 2, 3)}, constants=scales))
    joins = [node for node in graph.nodes if isinstance(node.operator, Concat)]
    assert len(joins) == nodes
    assert max(len(node.inputs) for node in joins) <= 64


@pytest.mark.parametrize(("shape", "channels"), [((2, 3, 4, 5), 2), ((2, 3, 4, 5), 1), ((1, 4, 6), 2)])
def test_constant_channels(shape: tuple[int, ...], channels: int) -> None:
    """CoordConv tells its convolutions where they are; what the input holds must not show in a constant channel."""
    coordinates = np.repeat(weights(1, channels, *shape[2:]), shape[0], axis=0)
    nodes = [
        helper.make_node("Div", ["x", "nothing"], ["infinite"]),
        helper.make_node("Concat", ["coordinates", "infinite"], ["both"], axis=1),
        helper.make_node("Slice", ["both", "start", "end", "axis"], ["constant"]),
        helper.make_node("Concat", ["constant", "x", "coordinates"], ["y"], axis=1),
    ]
    ends = {"start": np.array([0]), "end": np.array([channels]), "axis": np.array([1])}
    constants = {"coordinates": coordinates, "nothing": np.zeros(1, np.float32), **ends}
    assert_matches_onnx_runtime(make_model(nodes, {"x": shape}, constants=constants))


@pytest.mark.parametrize(("size", "padding"), [(3, (1, 1)), (4, (2, 1))])
def test_local_response_normalization_in_parts(size: int, padding: tuple[int, int]) -> None:
    """PyTorch's LRN averages squares over channels, which it takes for the first of three axes of a map."""
    before, after = padding
    factors = {"alpha": 0.1, "k": 2.0, "beta": 0.75}
    constants = {"axes": np.array([1])} | {name: np.array(factor, np.float32) for name, factor in factors.items()}
    pads = [before, 0, 0, after, 0, 0]
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squares"]),
        helper.make_node("Unsqueeze", ["squares", "axes"], ["volume"]),
        helper.make_node(
            "AveragePool", ["volume"], ["means"], kernel_shape=[size, 1, 1], pads=pads, count_include_pad=1
        ),
        helper.make_node("Squeeze", ["means", "axes"], ["map"]),
        helper.make_node("Mul", ["map", "alpha"], ["scaled"]),
        helper.make_node("Add", ["scaled", "k"], ["shifted"]),
        helper.make_node("Pow", ["shifted", "beta"], ["power"]),
        helper.make_node("Div", ["x", "power"], ["y"]),
    ]
    assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 6, 4, 5)}, constants=constants))


@pytest.mark.parametrize("axes", [[2], [3], [2, 3], [3, 4]])
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
def test_neighbouring_axes_of_many_are_reduced(kind: str, axes: list[int]) -> None:
    node = helper.make_node(kind, ["x"], ["y"], axes=axes, keepdims=0)
    assert_matches_onnx_runtime(make_model([node], {"x": (2, 3, 4, 5, 6)}))


def test_shrinking_with_antialias_counts_no_places_outside() -> None:
    """PyTorch's interpolate(x, size, mode="bilinear", antialias=True)."""
    attributes = {"mode": "linear", "antialias": 1, "exclude_outside": 1}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"])
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    sizes = np.array([2, 3, 5, 6])
    assert_matches_onnx_runtime(make_model([node], {"x": (2, 3, 12, 10)}, constants={"sizes": sizes}, opset=18))


@pytest.mark.parametrize("opset", [12, 17])
def test_global_context(opset: int) -> None:
    """GCNet: the places of a map are weighed by a softmax over them, and summed up."""
    constants = {
        "filter": weights(1, 5, 1, 1),
        "lines": np.array([2, 1, 5, 12]),
        "column": np.array([2, 1, 12, 1]),
        "back": np.array([2, 5, 1, 1]),
        "flat": np.array([2, 12]),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "lines"], ["matrix"]),
        helper.make_node("Conv", ["x", "filter"], ["scores"]),
        helper.make_node("Reshape", ["scores", "flat"], ["line"]),
        helper.make_node("Softmax", ["line"], ["shares"], axis=-1),
        helper.make_node("Reshape", ["shares", "column"], ["vector"]),
        helper.make_node("MatMul", ["matrix", "vector"], ["sums"]),
        helper.make_node("Reshape", ["sums", "back"], ["context"]),
        helper.make_node("Add", ["x", "context"], ["y"]),
    ]
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 5, 3, 4)}, constants=constants, opset=opset))
    assert "Transpose" not in {type(node.operator).__name__ for node in graph.nodes}


def test_vector_times_matrix() -> None:
    node = helper.make_node("MatMul", ["vector", "matrix"], ["y"])
    assert_matches_onnx_runtime(make_model([node], {"vector": (2, 1, 6), "matrix": (2, 6, 4)}))


@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 4, 5)), ((2, 3, 4, 5), (2, 3, 5, 1)), ((2, 3, 4), (1, 4, 1))])
def test_other_products_of_activations_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    node = helper.make_node("MatMul", ["first", "second"], ["y"], name="attention")
    model = make_model([node], dict(zip(("first", "second"), shapes, strict=True)))
    with pytest.raises(
        UnsupportedError, match=r"MatMul attention: it multiplies activations of .* and .*, as attention"
    ):
        load(model)


@pytest.mark.parametrize(("opset", "training"), [(11, False), (13, True), (14, False), (17, True), (18, True)])
def test_standardized_weights(opset: int, training: bool) -> None:
    """Weights that a BatchNormalization standardizes over each filter, which is how NFNets and ResNet v2 state them.

    In training it uses statistics of its own; before opset 14 only the number of its outputs says so, and PyTorch's
    exporter writes the same statistics in its inputs.
    """
    stored = weights(4, 3, 2, 2)
    mean, variance = stored.mean((1, 2, 3)), stored.var((1, 2, 3))
    is_stated = training and opset >= 14
    given = {"mean": np.zeros(4, np.float32), "variance": np.ones(4, np.float32)}
    model = _standardized(stored, given if is_stated else {"mean": mean, "variance": variance}, opset, training)
    gain, epsilon = np.array([0.5, 1, 2, 3])[:, np.newaxis], 1e-5
    rows = (stored.reshape(4, -1) - mean[:, np.newaxis]) / np.sqrt(variance[:, np.newaxis] + epsilon) * gain
    same = make_model(
        [helper.make_node("Conv", ["x", "weights"], ["y"])],
        {"x": (1, 3, 5, 5)},
        constants={"weights": rows.reshape(stored.shape).astype(np.float32)},
    )
    image = weights(1, 3, 5, 5, seed=1)
    (expected,), (actual,) = (evaluate(clean(load(one)), [image]) for one in (same, model))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def _standardized(
    stored: NDArray[np.float32], statistics: dict[str, NDArray[np.float32]], opset: int, training: bool
) -> ModelProto:
    constants = {
        "stored": stored,
        "lines": np.array([1, 4, -1]),
        "gain": np.array([0.5, 1, 2, 3], np.float32),
        "none": np.zeros(4, np.float32),
        "shape": np.array(stored.shape),
        **statistics,
    }
    outputs = ["standard", *(f"unread {index}" for index in range((2 if opset >= 14 else 4) * training))]
    normalize = helper.make_node("BatchNormalization", ["rows", "gain", "none", "mean", "variance"], outputs)
    if training and opset >= 14:
        normalize.attribute.append(helper.make_attribute("training_mode", 1))
    nodes = [
        helper.make_node("Reshape", ["stored", "lines"], ["rows"]),
        normalize,
        helper.make_node("Reshape", ["standard", "shape"], ["weights"]),
        helper.make_node("Conv", ["x", "weights"], ["y"]),
    ]
    return make_model(nodes, {"x": (1, 3, 5, 5)}, constants=constants, opset=opset)
