"""NaN and infinity go through compiled models as through ONNX Runtime: they mark exactly the results they reach.

Maxima are the exception: ONNX Runtime loses some NaNs there, ours keep all, as the reference does.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

import dlfusion
from dlfusion.driver import import_model
from dlfusion.runtime.reference import evaluate
from tests.support.onnx_models import make_model, weights

SHAPE = (1, 5, 12, 13)
CONSTANTS = {
    "w": weights(9, 5, 3, 3),
    "one": weights(20, 5, 1, 1, seed=1),
    "each": weights(5, 1, 3, 3, seed=2),
    "up": weights(5, 4, 2, 2, seed=3),
    "b": weights(9, seed=4),
    "slope": weights(5, 1, 1, seed=5),
    "m": np.zeros(5, np.float32),
    "v": np.ones(5, np.float32),
    "low": np.float32(-1),
    "high": np.float32(2),
    "matrix": weights(5 * 12 * 13, 7, seed=6),
    "axes": np.array([1, 5 * 12 * 13], np.int64),
}


def node(operator: str, *inputs: str, **attributes: Any) -> list[NodeProto]:
    """One operator from x to y."""
    return [helper.make_node(operator, ["x", *inputs], ["y"], **attributes)]


CASES = {
    "conv": node("Conv", "w", "b", pads=[1, 1, 1, 1]),
    "conv strided": node("Conv", "w", "b", strides=[2, 2]),
    "conv 1x1": node("Conv", "one"),
    "depthwise": node("Conv", "each", group=5, pads=[1, 1, 1, 1]),
    "transposed": node("ConvTranspose", "up", strides=[2, 2]),
    "relu": node("Relu"),
    "clip": node("Clip", "low", "high"),
    "prelu": node("PRelu", "slope"),
    "sigmoid": node("Sigmoid"),
    "tanh": node("Tanh"),
    "hard swish": node("HardSwish"),
    "batch norm": node("BatchNormalization", "v", "m", "m", "v"),
    "average pool": node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "global average": node("GlobalAveragePool"),
    "add": node("Add", "x"),
    "softmax": node("Softmax", axis=1),
    "resize": [helper.make_node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 2.0], mode="nearest")],
    "dense": [
        helper.make_node("Reshape", ["x", "axes"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["y"]),
    ],
    "chain": [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ],
}

MAXIMA = {
    "max pool": node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "global max": node("GlobalMaxPool"),
}


def model_of(name: str) -> ModelProto:
    """The model of a case, with the constants that it reads."""
    nodes = (CASES | MAXIMA)[name]
    read = {value for entry in nodes for value in entry.input}
    constants = {key: np.asarray(array) for key, array in CONSTANTS.items() if key in read}
    return make_model(nodes, {"x": SHAPE}, constants=constants, opset=8 if name == "resize" else 15)


def inputs() -> NDArray[np.float32]:
    """Normal numbers with a NaN and both infinities in single places, one of them in a corner."""
    x = np.random.default_rng(7).standard_normal(SHAPE).astype(np.float32)
    x[0, 1, 0, 0], x[0, 3, 5, 6], x[0, 2, 10, 2] = np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize("strategy", ["baseline", "fuse-all"])
@pytest.mark.parametrize("name", CASES)
def test_special_values_go_where_they_go_in_onnx_runtime(name: str, strategy: str) -> None:
    model, x = model_of(name), inputs()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    with dlfusion.compile(model, strategy=strategy, exact=True) as compiled:
        (actual,) = compiled.outputs(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_winograd_spreads_them_over_the_tiles_that_read_them_and_no_further(value: float) -> None:
    tile, row, column = 4, 9, 17
    model = make_model(
        node("Conv", "w", pads=[1, 1, 1, 1]), {"x": (1, 16, 24, 24)}, constants={"w": weights(16, 16, 3, 3)}
    )
    network = import_model(model)
    plan = dlfusion.plan(network, strategy="all-cores", exact=True)
    plan = replace(plan, blocks=tuple(replace(block, algorithms=((0, f"winograd{tile}"),)) for block in plan.blocks))
    x = np.random.default_rng(7).standard_normal((1, 16, 24, 24)).astype(np.float32)
    x[0, 3, row, column] = value
    with dlfusion.compile(network, plan=plan) as compiled:
        (result,) = compiled.outputs(x)
    (expected,) = evaluate(network.graph, [x])
    reached = np.isnan(result[0]).all(axis=0)
    assert (np.isnan(result[0]).any(axis=0) == reached).all()
    assert reached[row - 1 : row + 2, column - 1 : column + 2].all()
    places = np.argwhere(reached)
    assert (np.abs(places - (row, column)) <= tile).all()
    np.testing.assert_allclose(result[0][:, ~reached], expected[0][:, ~reached], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MAXIMA)
def test_maxima_keep_every_nan(name: str) -> None:
    network, x = import_model(model_of(name)), inputs()
    with dlfusion.compile(network, strategy="fuse-all") as compiled:
        (actual,) = compiled.outputs(x)
    (expected,) = evaluate(network.graph, [x])
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(actual, expected)
