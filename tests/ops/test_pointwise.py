import math
from typing import Any

import numpy as np
import pytest

from dlfusion.graph.graph import Array
from dlfusion.ops.abs import Abs
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.binary import Binary
from dlfusion.ops.ceil import Ceil
from dlfusion.ops.celu import Celu
from dlfusion.ops.clip import Clip
from dlfusion.ops.div import Div
from dlfusion.ops.elu import Elu
from dlfusion.ops.erf import Erf
from dlfusion.ops.exp import Exp
from dlfusion.ops.floor import Floor
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.log import Log
from dlfusion.ops.max import Max
from dlfusion.ops.min import Min
from dlfusion.ops.mish import Mish
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pow import Pow
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.selu import Selu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.softsign import Softsign
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub
from dlfusion.ops.tanh import Tanh
from dlfusion.ops.thresholded_relu import ThresholdedRelu
from dlfusion.ops.window import IDENTITY, everything
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


FUNCTIONS: list[tuple[Operator, dict[str, Any]]] = [
    (Abs(), {}),
    (Ceil(), {}),
    (Celu(0.7), {"alpha": 0.7}),
    (Elu(0.6), {"alpha": 0.6}),
    (Erf(), {}),
    (Exp(), {}),
    (Floor(), {}),
    (Gelu(), {}),
    (Gelu(by_tanh=True), {"approximate": "tanh"}),
    (Log(), {}),
    (Mish(), {}),
    (Reciprocal(), {}),
    (Selu(), {}),
    (Selu(1.5, 0.5), {"alpha": 1.5, "gamma": 0.5}),
    (Softplus(), {}),
    (Softsign(), {}),
    (Sqrt(), {}),
    (ThresholdedRelu(0.3), {"alpha": 0.3}),
]


@pytest.mark.parametrize(("operator", "attributes"), FUNCTIONS, ids=str)
def test_functions_are_onnx(operator: Operator, attributes: dict[str, Any]) -> None:
    special = np.array([0, -0.0, 1, -1, 0.3, 60, -60, np.inf, -np.inf, np.nan], np.float32).reshape(1, 2, 5, 1)
    for x in (X, special):
        expected = run_node(type(operator).__name__, [x], opset=20, **attributes)
        result = operator.reference([x], [])
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6)
    assert operator.pointwise
    assert operator.operations([SHAPE], []) == X.size


@pytest.mark.parametrize("kind", [Add, Sub, Mul, Div, Pow, Max, Min])
def test_binary_operators_are_onnx(kind: type[Binary]) -> None:
    special = np.array([0, 1, -1, 2, -0.5, np.inf, -np.inf, np.nan], np.float32)
    pairs: list[tuple[Array, Array]] = [
        (np.repeat(special, 8).reshape(1, 1, 8, 8), np.tile(special, 8).reshape(1, 1, 8, 8))
    ]
    pairs += [
        (np.abs(X), uniform(2, *operand, seed=4)) for operand in ((5, 7, 3), (5, 1, 1), (1, 7, 3), (1, 1, 3), (1, 7, 1))
    ]
    for x, y in pairs:
        expected = run_node(kind.__name__, [x, y])
        np.testing.assert_allclose(kind().reference([x, y], []), expected, rtol=1e-6)
        np.testing.assert_array_equal(kind().reference([x[:1]], [y[0]]), kind().reference([x[:1], y[:1]], []))
        if kind in (Sub, Div, Pow):
            swapped = kind(reversed=True).reference([x, y], [])
            np.testing.assert_allclose(swapped, run_node(kind.__name__, [y, x]), rtol=1e-6)


def test_windows_of_repeated_operands() -> None:
    """What is repeated along an axis is read whole for each row or column of output."""
    operator, first = Sub(), (1, 4, 6, 6)
    assert operator.row_windows([first, (1, 1, 1, 6)]) == (IDENTITY, everything(1))
    assert operator.column_windows([first, (1, 1, 1, 6)]) == (IDENTITY, IDENTITY)
    assert operator.row_windows([first, (1, 1, 6, 1)]) == (IDENTITY, IDENTITY)
    assert operator.column_windows([first, (1, 4, 6, 1)]) == (IDENTITY, everything(1))


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
    with pytest.raises(ValueError, match=r"Add of .* \(1, 2, 3, 4\) cannot take an activation of shape \(1, 2, 3, 2\)"):
        Add().output_shape([(1, 2, 3, 4), (1, 2, 3, 2)], [])
    with pytest.raises(ValueError, match=r"\(2, 2, 3, 4\) cannot take an activation of shape \(1, 2, 3, 4\)"):
        Mul().output_shape([(2, 2, 3, 4), (1, 2, 3, 4)], [])
    with pytest.raises(ValueError, match=r"cannot take a constant of shape \(2, 4\): it must have its sizes or 1"):
        Sub().output_shape([(1, 2, 3, 4)], [(2, 4)])
    with pytest.raises(ValueError, match="alpha > 0, but it is 0"):
        Celu(0)
    with pytest.raises(ValueError, match=r"slope of shape \(2,\), but it is \(1,\)"):
        PRelu().output_shape([(1, 2, 3, 4)], [(1,)])
    with pytest.raises(ValueError, match=r"shift of shape \(2,\), but it is \(3,\)"):
        Affine().output_shape([(1, 2, 3, 4)], [(2,), (3,)])
