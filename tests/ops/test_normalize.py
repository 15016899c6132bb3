"""Normalizations, reductions over channels, and orders of axes."""

from itertools import permutations

import numpy as np
import pytest

from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction
from dlfusion.ops.transpose import Transpose
from dlfusion.ops.window import IDENTITY
from tests.ops.onnx_runtime import run_node, uniform

SHAPE = (2, 6, 3, 4)
ONE, ZERO = np.ones(6, np.float32), np.zeros(6, np.float32)


def test_group_normalize_is_onnx_instance_and_layer_normalization() -> None:
    x = uniform(*SHAPE, low=-4, high=6)
    expected = run_node("InstanceNormalization", [x], [ONE, ZERO], epsilon=1e-2)
    np.testing.assert_allclose(GroupNormalize(6, 1e-2).reference([x], []), expected, rtol=1e-5, atol=1e-5)
    expected = run_node("LayerNormalization", [x], [np.ones(SHAPE[1:], np.float32)], axis=1, epsilon=1e-2)
    np.testing.assert_allclose(GroupNormalize(1, 1e-2).reference([x], []), expected, rtol=1e-5, atol=1e-5)
    grouped = run_node("InstanceNormalization", [x.reshape(2, 3, 2, 12)], [ONE[:3], ZERO[:3]])
    np.testing.assert_allclose(GroupNormalize(3).reference([x], []), grouped.reshape(SHAPE), rtol=1e-5, atol=1e-5)


def test_group_normalize_needs_the_whole_map_and_shares_groups() -> None:
    assert not GroupNormalize(2).streams
    assert GroupNormalize(2).splits_channels
    assert not GroupNormalize(1).splits_channels
    with pytest.raises(ValueError, match="6 channels do not divide into 4 groups"):
        GroupNormalize(4).output_shape([SHAPE], [])
    with pytest.raises(ValueError, match="needs at least 1 group, but has 0"):
        GroupNormalize(0)


def test_layer_normalize_is_onnx_at_each_place() -> None:
    x = uniform(*SHAPE, low=-4, high=6)
    last = run_node("LayerNormalization", [x.transpose(0, 2, 3, 1)], [ONE], epsilon=1e-3)
    result = LayerNormalize(1e-3).reference([x], [])
    np.testing.assert_allclose(result, last.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-5)
    assert LayerNormalize().streams
    assert LayerNormalize().row_windows([SHAPE]) == (IDENTITY,)
    assert not LayerNormalize().splits_channels


@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalize_is_onnx(p: int) -> None:
    x = uniform(*SHAPE)
    x[0, :, 1, 1] = 0
    expected = run_node("LpNormalization", [x], axis=1, p=p)
    np.testing.assert_allclose(LpNormalize(p).reference([x], []), expected, rtol=1e-5, atol=1e-6)


def test_lp_normalize_of_other_norms() -> None:
    with pytest.raises(ValueError, match="needs a p of 1 or 2, but it is 3"):
        LpNormalize(3)


def test_log_softmax_is_onnx_and_does_not_overflow() -> None:
    x = uniform(*SHAPE, low=-200, high=200)
    expected = run_node("LogSoftmax", [x], axis=1)
    np.testing.assert_allclose(LogSoftmax().reference([x], []), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("reduction", "kind"),
    [
        (Reduction.MEAN, "ReduceMean"),
        (Reduction.SUM, "ReduceSum"),
        (Reduction.MAXIMUM, "ReduceMax"),
        (Reduction.MINIMUM, "ReduceMin"),
        (Reduction.SUM_OF_SQUARES, "ReduceSumSquare"),
        (Reduction.L1, "ReduceL1"),
        (Reduction.L2, "ReduceL2"),
    ],
)
def test_reduce_channels_is_onnx(reduction: Reduction, kind: str) -> None:
    x = uniform(*SHAPE)
    expected = run_node(kind, [x], [np.array([1])], opset=18)
    operator = ReduceChannels(reduction)
    assert operator.output_shape([SHAPE], []) == expected.shape
    np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [(first, second, third) for first, second, third in permutations((1, 2, 3))])
def test_transpose_is_onnx(order: tuple[int, int, int]) -> None:
    x = uniform(*SHAPE)
    expected = run_node("Transpose", [x], perm=[0, *order])
    assert Transpose(order).output_shape([SHAPE], []) == expected.shape
    np.testing.assert_array_equal(Transpose(order).reference([x], []), expected)
    with pytest.raises(ValueError, match="an order of the axes 1, 2 and 3"):
        Transpose((1, 1, 2))
