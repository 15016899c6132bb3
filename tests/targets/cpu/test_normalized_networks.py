"""Networks with normalizations, gates and channels last, compiled under the plans of all strategies and random ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from dlfusion import driver
from dlfusion.runtime.check import compare
from tests.support.onnx_models import feeds, make_model, run_onnx_runtime, weights
from tests.support.random_plans import plans

STRATEGIES = ("baseline", "all-cores", "layer-cores", "fuse-all", "fixed-block:2", "dp", "dlfusion")
Constants = dict[str, NDArray[Any]]


def node(operator: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """A node whose inputs are words of a text."""
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def conv(source: str, output: str, kernel: int = 3, **attributes: Any) -> NodeProto:
    """A convolution that keeps the size."""
    return node("Conv", f"{source} {output}.w", output, pads=[kernel // 2] * 4, **attributes)


def filters(name: str, outputs: int, inputs: int, kernel: int = 3, seed: int = 0) -> Constants:
    """The constants of `conv`."""
    scale = 1 / np.sqrt(inputs * kernel * kernel)
    return {f"{name}.w": weights(outputs, inputs, kernel, kernel, seed=seed) * np.float32(scale)}


def gated(pool: list[NodeProto], gate: str) -> ModelProto:
    """Squeeze-and-excitation between two convolutions; the pool is the mean of `a` as N x 16 x 1 x 1."""
    nodes = [
        conv("x", "a"),
        *pool,
        conv("p", "q", 1),
        node("Relu", "q", "r"),
        conv("r", "s", 1),
        node(gate, "s", "t"),
        node("Mul", "a t", "m"),
        conv("m", "y"),
    ]
    constants = filters("a", 16, 3) | filters("q", 4, 16, 1) | filters("s", 16, 4, 1) | filters("y", 8, 16)
    return make_model(nodes, {"x": (2, 3, 13, 17)}, constants=constants)


def gate_by_pool() -> ModelProto:
    return gated([node("GlobalAveragePool", "a", "p")], "Sigmoid")


def gate_by_mean() -> ModelProto:
    return gated([node("ReduceMean", "a", "p", axes=[2, 3])], "HardSigmoid")


def gate_by_gemm() -> ModelProto:
    """Flattened, through two fully connected layers, and expanded to the map."""
    nodes = [
        conv("x", "a"),
        node("ReduceMean", "a", "p", axes=[-1, -2], keepdims=0),
        node("Gemm", "p w b", "q"),
        node("Relu", "q", "r"),
        node("Gemm", "r v", "s", transB=1),
        node("Sigmoid", "s", "t"),
        node("Reshape", "t shape", "u"),
        node("Expand", "u map", "e"),
        node("Mul", "a e", "m"),
        conv("m", "y"),
    ]
    constants = filters("a", 16, 3) | filters("y", 8, 16)
    constants |= {"w": weights(16, 4), "b": weights(4), "v": weights(16, 4)}
    constants |= {"shape": np.array([-1, 16, 1, 1]), "map": np.array([2, 16, 13, 17])}
    return make_model(nodes, {"x": (2, 3, 13, 17)}, constants=constants)


def conv_next() -> ModelProto:
    """A stem and a block, with channels last between transposes."""
    nodes = [
        node("Conv", "x stem.w", "stem", strides=[2, 2]),
        conv("stem", "d", 7, group=24),
        node("Transpose", "d", "t", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "t scale shift", "l", epsilon=1e-6),
        node("MatMul", "l w", "m"),
        node("Add", "m b", "a"),
        node("Sigmoid", "a", "s"),
        node("Mul", "a s", "g"),
        node("MatMul", "g v", "n"),
        node("Mul", "scale n", "f"),
        node("Transpose", "f", "u", perm=[0, 3, 1, 2]),
        node("Add", "stem u", "z"),
        node("GlobalAveragePool", "z", "p"),
        node("Flatten", "p", "q"),
        node("LayerNormalization", "q scale shift", "h"),
        node("Gemm", "h c", "y"),
    ]
    constants = filters("stem", 24, 3, 2) | filters("d", 24, 1, 7) | {"scale": weights(24), "shift": weights(24)}
    constants |= {"w": weights(24, 96) / 5, "b": weights(96), "v": weights(96, 24) / 10, "c": weights(24, 10)}
    return make_model(nodes, {"x": (2, 3, 26, 22)}, constants=constants)


def normalized_residual() -> ModelProto:
    """Group and instance normalization in a residual block, layer normalization of its map."""
    nodes = [
        conv("x", "a"),
        node("Reshape", "a groups", "r"),
        node("InstanceNormalization", "r one zero", "i"),
        node("Reshape", "i back", "n"),
        node("Mul", "n scale", "sc"),
        node("Relu", "sc", "b"),
        conv("b", "c"),
        node("InstanceNormalization", "c gain bias", "j"),
        node("Add", "j a", "d"),
        node("Relu", "d", "e"),
        node("LayerNormalization", "e every", "y", axis=1),
    ]
    constants = filters("a", 20, 3) | filters("c", 20, 20) | {"scale": weights(20, 1, 1), "every": weights(20, 9, 31)}
    constants |= {"groups": np.array([0, 4, -1]), "back": np.array([2, 20, 9, 31]), "one": np.ones(4, np.float32)}
    constants |= {"zero": np.zeros(4, np.float32), "gain": weights(20), "bias": weights(20)}
    return make_model(nodes, {"x": (2, 3, 9, 31)}, constants=constants)


def channels_last_model() -> ModelProto:
    """Input and output with channels last; reductions over channels join a convolution, and softmax ends it."""
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        conv("t", "a"),
        node("ReduceMean", "a", "mean", axes=[1]),
        node("ReduceMax", "a", "max", axes=[1]),
        node("Concat", "mean max", "both", axis=1),
        conv("both", "b"),
        node("LogSoftmax", "b", "l", axis=1),
        node("Concat", "l a", "c", axis=1),
        node("LpNormalization", "c", "n", axis=1),
        node("Transpose", "n", "y", perm=[0, 2, 3, 1]),
    ]
    constants = filters("a", 19, 3) | filters("b", 5, 2)
    return make_model(nodes, {"x": (2, 12, 14, 3)}, constants=constants)


MODELS = (gate_by_pool, gate_by_mean, gate_by_gemm, conv_next, normalized_residual, channels_last_model)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_every_strategy_gives_onnx_runtimes_result(build: Callable[[], ModelProto]) -> None:
    model = build()
    network = driver.import_model(model)
    inputs = feeds(network.graph)
    expected = run_onnx_runtime(model, network.graph, inputs)
    for strategy in STRATEGIES:
        with driver.compile(network, strategy=strategy) as compiled:
            verdict = compare(compiled.outputs(*inputs), expected)
        assert verdict.passed, (strategy, verdict)


@pytest.mark.slow
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
@given(data=st.data())
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_plan_gives_one_result(build: Callable[[], ModelProto], data: st.DataObject) -> None:
    model = build()
    network = driver.import_model(model)
    inputs = feeds(network.graph)
    with driver.compile(network, plan=driver.plan(network, strategy="baseline", exact=True)) as compiled:
        plain = compiled.outputs(*inputs)
    verdict = compare(plain, run_onnx_runtime(model, network.graph, inputs))
    assert verdict.passed, verdict
    plan = data.draw(plans(network))
    with driver.compile(network, plan=plan) as compiled:
        for output, reference in zip(compiled.outputs(*inputs), plain, strict=True):
            np.testing.assert_array_equal(output, reference, err_msg=plan.to_json())


def test_gates_in_plans() -> None:
    """A pool and what it feeds stand alone or together as they may; the product joins the convolution behind it."""
    network = driver.import_model(gate_by_mean())
    assert [layer.anchor.operator.label for layer in network.layers] == [
        "Conv 3x3",
        "GlobalAveragePool",
        "Conv 1x1",
        "Conv 1x1",
        "Mul",
        "Conv 3x3",
    ]
