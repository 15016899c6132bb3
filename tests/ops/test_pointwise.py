import math
from typing import Any

import numpy as np
import pytest

from dlfusion.graph.graph import Array
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.tanh import Tanh
from tests.ops.onnx_runtime import run_node, uniform

SHAPE = (2, 5, 7, 3)
X = uniform(*SHAPE, low=-8, high=8)
Y = uniform(*SHAPE, seed=1)
FACTOR = uniform(2, 5, 1, 1, seed=2)
PER_CHANNEL = uniform(5, seed=3)


@pytest.mark.parametrize(
    ("operator", "kind", "attributes"),
    [
        (Clip(), "Relu", {}),
        (LeakyRelu(0.2), "LeakyRelu", {"alpha": 0.2}),
        (Sigmoid(), "Sigmoid", {}),
        (Tanh(), "Tanh", {}),
        (HardSigmoid(0.3, 0.4), "HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        (HardSwish(), "HardSwish", {}),
    ],
    ids=str,
)
def test_operators_of_one_activation_are_onnx(operator: Operator, kind: str, attributes: dict[str, Any]) -> None:
    expected = run_node(kind, [X], **attributes)
    result = operator.reference([X], [])
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=1e-6)
    assert operator.output_shape([SHAPE], []) == SHAPE
    assert operator.operations([SHAPE], []) == X.size
    assert operator.pointwise


def test_clip_is_onnx() -> None:
    expected = run_node("Clip", [X], [np.array(-1.5, np.float32), np.array(2, np.float32)])
    np.testing.assert_array_equal(Clip(-1.5, 2).reference([X], []), expected)


@pytest.mark.parametrize(
    ("operator", "kind", "inputs"),
    [(Add(), "Add", [X, Y]), (Mul(), "Mul", [X, Y]), (Mul(), "Mul", [X, FACTOR])],
)
def test_operators_of_two_activations_are_onnx(operator: Operator, kind: str, inputs: list[Array]) -> None:
    np.testing.assert_array_equal(operator.reference(inputs, []), run_node(kind, inputs))
    shapes: Any = [array.shape for array in inputs]
    assert operator.output_shape(shapes, []) == SHAPE


def test_prelu_is_onnx() -> None:
    expected = run_node("PRelu", [X], [PER_CHANNEL.reshape(5, 1, 1)])
    np.testing.assert_array_equal(PRelu().reference([X], [PER_CHANNEL]), expected)


def test_affine_is_batch_normalization() -> None:
    variance = uniform(5, seed=5, low=0.5, high=2)
    constants = [PER_CHANNEL, uniform(5, seed=4), uniform(5, seed=6), variance]
    expected = run_node("BatchNormalization", [X], constants, epsilon=0.0)
    scale = (PER_CHANNEL / np.sqrt(variance)).astype(np.float32)
    result = Affine().reference([X], [scale, constants[1] - constants[2] * scale])
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    assert Affine().operations([SHAPE], [(5,), (5,)]) == 2 * X.size


@pytest.mark.parametrize(
    ("operator", "label"),
    [(Clip(), "Relu"), (Clip(0, 6), "Relu6"), (Clip(-1, 1), "Clip -1..1"), (Clip(-math.inf, 2), "Clip -inf..2")],
)
def test_labels(operator: Operator, label: str) -> None:
    assert operator.label == label


def test_shapes_that_do_not_fit_are_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match="low <= high, but they are 2 and 1"):
        Clip(2, 1)
    with pytest.raises(ValueError, match="low <= high"):
        Clip(math.nan, 1)
    with pytest.raises(ValueError, match=r"one shape, but they are \(1, 2, 3, 4\) and \(1, 2, 3, 1\)"):
        Add().output_shape([(1, 2, 3, 4), (1, 2, 3, 1)], [])
    with pytest.raises(ValueError, match=r"\(1, 2, 3, 4\) or \(1, 2, 1, 1\), but it is \(1, 2, 3, 1\)"):
        Mul().output_shape([(1, 2, 3, 4), (1, 2, 3, 1)], [])
    with pytest.raises(ValueError, match=r"slope of shape \(2,\), but it is \(1,\)"):
        PRelu().output_shape([(1, 2, 3, 4)], [(1,)])
    with pytest.raises(ValueError, match=r"shift of shape \(2,\), but it is \(3,\)"):
        Affine().output_shape([(1, 2, 3, 4)], [(2,), (3,)])
