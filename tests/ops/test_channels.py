"""Operators across channels: gemm, local response normalization, softmax."""

import numpy as np
import pytest

from dlfusion.ops.gemm import Gemm
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.softmax import Softmax
from tests.ops.onnx_runtime import run_node, uniform


def test_gemm_is_flatten_and_onnx_gemm() -> None:
    x, weights, bias = uniform(3, 4, 2, 5), uniform(7, 4, 2, 5, seed=1), uniform(7, seed=2)
    expected = run_node("Gemm", [x.reshape(3, 40)], [weights.reshape(7, 40), bias], transB=1)
    result = Gemm().reference([x], [weights, bias])
    assert Gemm().output_shape([(3, 4, 2, 5)], [(7, 4, 2, 5), (7,)]) == result.shape == (3, 7, 1, 1)
    np.testing.assert_allclose(result.reshape(3, 7), expected, rtol=1e-5, atol=1e-5)
    assert Gemm().operations([(3, 4, 2, 5)], [(7, 4, 2, 5), (7,)]) == 2 * 3 * 7 * 40
    assert not Gemm().streams
    with pytest.raises(ValueError, match=r"weights of shape \(7, 4, 2, 5\), but it is \(7, 40, 1, 1\)"):
        Gemm().output_shape([(3, 4, 2, 5)], [(7, 40, 1, 1), (7,)])


@pytest.mark.parametrize("size", [1, 3, 5, 9])
def test_lrn_is_onnx(size: int) -> None:
    x = uniform(2, 7, 3, 4, low=-4, high=4)
    expected = run_node("LRN", [x], size=size, alpha=0.02, beta=0.6, bias=1.5)
    np.testing.assert_allclose(Lrn(size, 0.02, 0.6, 1.5).reference([x], []), expected, rtol=1e-5, atol=1e-6)


def test_lrn_of_even_size_reaches_further_after() -> None:
    # ONNX: from c - floor((size - 1) / 2) to c + ceil((size - 1) / 2).
    operator = Lrn(4, alpha=4.0, beta=1.0, bias=0.0)
    assert (operator.channels_before, operator.channels_after) == (1, 2)
    x = np.array([1, 2, 3, 4, 5], np.float32).reshape(1, 5, 1, 1)
    sums = np.array([1 + 4 + 9, 1 + 4 + 9 + 16, 4 + 9 + 16 + 25, 9 + 16 + 25, 16 + 25], np.float32)
    np.testing.assert_allclose(operator.reference([x], []).ravel(), x.ravel() / sums, rtol=1e-6)


def test_softmax_is_onnx_and_does_not_overflow() -> None:
    x = uniform(2, 7, 3, 4, low=-200, high=200)
    np.testing.assert_allclose(Softmax().reference([x], []), run_node("Softmax", [x], axis=1), rtol=1e-5, atol=1e-7)
    assert not Softmax().splits_channels
    assert Softmax().streams
