"""Networks that live on elementwise operators: imported, compiled under several plans, beside ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

from dlfusion import driver
from dlfusion.graph.graph import Array
from dlfusion.runtime.check import compare
from tests.support.onnx_models import feeds, make_model, run_onnx_runtime, weights

SHAPE = (2, 3, 18, 14)
CHANNELS = 20


def node(kind: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def filters(*shape: int, seed: int) -> Array:
    """Weights that keep the size of what they are applied to."""
    array = weights(*shape, seed=seed)
    return array / np.float32(np.sqrt(array[0].size / 3))


def coordinate_attention() -> ModelProto:
    """Factors for each row and for each column of a map (Hou et al., 2021), with Swish as exporters write it."""
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Sigmoid", "c", "s"),
        node("Mul", "c s", "map"),
        node("AveragePool", "map", "rows", kernel_shape=[1, 14]),
        node("AveragePool", "map", "columns", kernel_shape=[18, 1]),
        node("Conv", "rows v", "row_features"),
        node("Conv", "columns v", "column_features"),
        node("Elu", "row_features", "row_elu", alpha=0.5),
        node("Gelu", "column_features", "column_gelu"),
        node("Sigmoid", "row_elu", "row_gate"),
        node("Sigmoid", "column_gelu", "column_gate"),
        node("Mul", "map row_gate", "gated"),
        node("Mul", "column_gate gated", "both"),
        node("Conv", "both u", "y", pads=[1, 1, 1, 1]),
    ]
    constants: dict[str, Array] = {
        "w": weights(CHANNELS, 3, 3, 3),
        "v": filters(CHANNELS, CHANNELS, 1, 1, seed=1),
        "u": filters(5, CHANNELS, 3, 3, seed=2),
    }
    return make_model(nodes, {"x": SHAPE}, constants=constants, opset=20)


def masks_and_maps() -> ModelProto:
    """A mask for all channels, a map of constants, a normalization by the mean of squares, and extremes."""
    nodes = [
        node("Sub", "x mean_image", "centred"),
        node("Conv", "centred w", "c", pads=[1, 1, 1, 1]),
        node("Add", "c position", "placed"),
        node("Mish", "placed", "active"),
        node("Conv", "active m", "mask_logits", pads=[1, 1, 1, 1]),
        node("Softplus", "mask_logits", "mask"),
        node("Mul", "mask active", "masked"),
        node("Pow", "masked two", "squares"),
        node("GlobalAveragePool", "squares", "power"),
        node("Add", "power epsilon", "safe"),
        node("Sqrt", "safe", "norm"),
        node("Div", "masked norm", "normal"),
        node("Max", "normal active low", "larger"),
        node("Min", "larger limit", "limited"),
        node("Sub", "one limited", "rest"),
        node("Conv", "rest v", "y"),
    ]
    constants: dict[str, Array] = {
        "mean_image": weights(3, 18, 14),
        "w": weights(CHANNELS, 3, 3, 3),
        "position": weights(1, CHANNELS, 18, 14, seed=1),
        "m": filters(1, CHANNELS, 3, 3, seed=2),
        "two": np.array(2, np.float32),
        "epsilon": np.array(1e-3, np.float32),
        "low": np.array(-0.25, np.float32),
        "limit": np.linspace(0.5, 2, CHANNELS, dtype=np.float32).reshape(CHANNELS, 1, 1),
        "one": np.array([1], np.float32),
        "v": filters(7, CHANNELS, 1, 1, seed=3),
    }
    return make_model(nodes, {"x": SHAPE}, constants=constants, opset=18)


@pytest.mark.parametrize("build", [coordinate_attention, masks_and_maps])
@pytest.mark.parametrize("strategy", ["baseline", "dlfusion"])
def test_compiled_networks_agree_with_onnx_runtime(build: Callable[[], ModelProto], strategy: str) -> None:
    model = build()
    network = driver.import_model(model)
    inputs = feeds(network.graph)
    expected = tuple(run_onnx_runtime(model, network.graph, inputs))
    with driver.compile(network, strategy=strategy) as compiled:
        verdict = compare(compiled.outputs(*inputs), expected)
    assert verdict.passed, verdict


def test_a_product_of_a_convolution_and_its_sigmoid_joins_the_convolution() -> None:
    network = driver.import_model(coordinate_attention())
    first = network.layers[0]
    assert [inner.operator.label for inner in first.nodes] == ["Conv 3x3", "Swish"]
