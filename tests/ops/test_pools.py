import itertools
from typing import Any

import numpy as np
import pytest

from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.spatial import Padding, Pair, ceil_mode_excess
from tests.ops.onnx_runtime import run_node, uniform

SHAPE = (2, 3, 13, 8)

CASES: list[tuple[Pair, Pair, Padding]] = [
    ((2, 2), (2, 2), (0, 0, 0, 0)),
    ((3, 3), (2, 2), (0, 0, 0, 0)),
    ((3, 3), (2, 2), (1, 1, 1, 1)),
    ((3, 3), (1, 1), (1, 1, 1, 1)),
    ((3, 2), (2, 3), (1, 0, 2, 1)),
    ((2, 2), (3, 3), (0, 1, 1, 0)),
    ((5, 4), (4, 4), (2, 1, 2, 2)),
]


def excess(kernel: Pair, strides: Pair, pads: Padding, dilations: Pair = (1, 1)) -> Pair:
    return (
        ceil_mode_excess(SHAPE[2], kernel[0], strides[0], dilations[0], pads[0], pads[2]),
        ceil_mode_excess(SHAPE[3], kernel[1], strides[1], dilations[1], pads[1], pads[3]),
    )


@pytest.mark.parametrize(("kernel", "strides", "pads"), CASES)
@pytest.mark.parametrize(("ceil_mode", "dilations"), list(itertools.product([False, True], [(1, 1), (2, 1)])))
def test_max_pool_is_onnx(kernel: Pair, strides: Pair, pads: Padding, dilations: Pair, *, ceil_mode: bool) -> None:
    x = uniform(*SHAPE)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    expected = run_node("MaxPool", [x], ceil_mode=int(ceil_mode), **attributes)
    more = excess(kernel, strides, pads, dilations) if ceil_mode else (0, 0)
    operator = MaxPool(kernel, strides, (pads[0], pads[1], pads[2] + more[0], pads[3] + more[1]), dilations)
    assert operator.output_shape([SHAPE], []) == expected.shape
    np.testing.assert_array_equal(operator.reference([x], []), expected)


@pytest.mark.parametrize(("kernel", "strides", "pads"), CASES)
@pytest.mark.parametrize(
    ("ceil_mode", "count_include_pad", "opset"), list(itertools.product([False, True], [False, True], [11, 19]))
)
def test_average_pool_is_onnx(
    kernel: Pair, strides: Pair, pads: Padding, opset: int, *, ceil_mode: bool, count_include_pad: bool
) -> None:
    x = uniform(*SHAPE)
    expected = run_node(
        "AveragePool",
        [x],
        opset=opset,
        kernel_shape=kernel,
        strides=strides,
        pads=pads,
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad),
    )
    more = excess(kernel, strides, pads) if ceil_mode else (0, 0)
    operator = AveragePool(kernel, strides, pads, more, count_include_pad)
    assert operator.output_shape([SHAPE], []) == expected.shape
    np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kernel", "strides", "pads"), CASES[2:5])
@pytest.mark.parametrize(("ceil_mode", "count_include_pad"), list(itertools.product([False, True], [False, True])))
def test_dilated_average_pool_is_onnx(
    kernel: Pair, strides: Pair, pads: Padding, *, ceil_mode: bool, count_include_pad: bool
) -> None:
    x, dilations = uniform(*SHAPE), (3, 2)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    expected = run_node(
        "AveragePool",
        [x],
        opset=19,
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad),
        **attributes,
    )
    more = excess(kernel, strides, pads, dilations) if ceil_mode else (0, 0)
    operator = AveragePool(kernel, strides, pads, more, count_include_pad, dilations)
    np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kernel", "strides", "pads"), CASES)
@pytest.mark.parametrize(("p", "dilations"), list(itertools.product([1, 2, 3], [(1, 1), (2, 1)])))
def test_norm_pool_is_onnx(kernel: Pair, strides: Pair, pads: Padding, p: int, dilations: Pair) -> None:
    x = uniform(*SHAPE)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    expected = run_node("LpPool", [x], opset=18, p=p, **attributes)
    operator = LpPool(kernel, strides, pads, dilations, p)
    assert operator.output_shape([SHAPE], []) == expected.shape
    np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_global_norm_is_onnx(p: int) -> None:
    x = uniform(*SHAPE)
    expected = run_node("GlobalLpPool", [x], p=p)
    np.testing.assert_allclose(GlobalLpPool(p).reference([x], []), expected, rtol=1e-5)
    assert GlobalLpPool(p).label == f"GlobalLpPool p{p}"


def test_norms_below_one_are_refused() -> None:
    for refused in (lambda: LpPool((2, 2), p=0), lambda: GlobalLpPool(0)):
        with pytest.raises(ValueError, match="a norm of at least 1, but p is 0"):
            refused()


def test_global_pools_are_onnx() -> None:
    x = uniform(*SHAPE)
    np.testing.assert_array_equal(GlobalMaxPool().reference([x], []), run_node("GlobalMaxPool", [x]))
    np.testing.assert_allclose(
        GlobalAveragePool().reference([x], []), run_node("GlobalAveragePool", [x]), rtol=1e-5, atol=1e-6
    )
    for operator in (GlobalMaxPool(), GlobalAveragePool()):
        assert operator.output_shape([SHAPE], []) == (2, 3, 1, 1)
        assert operator.operations([SHAPE], []) == 2 * 3 * 13 * 8
        assert not operator.streams


def test_operations_count_the_kernel_for_each_output() -> None:
    assert MaxPool((3, 3), (2, 2)).operations([(1, 64, 113, 113)], []) == 64 * 56 * 56 * 9
    assert AveragePool((2, 2), (2, 2)).operations([(1, 8, 4, 4)], []) == 8 * 2 * 2 * 4
    assert LpPool((2, 2), (2, 2)).operations([(1, 8, 4, 4)], []) == 2 * 8 * 2 * 2 * 4


def test_windows_in_padding_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="empty windows"):
        AveragePool((2, 2), (1, 1), (2, 0, 0, 0)).output_shape([(1, 1, 4, 4)], [])
    with pytest.raises(ValueError, match="kernel must be at least 1, but is 0 x 2"):
        MaxPool((0, 2))
    with pytest.raises(ValueError, match=r"excess must not be negative, but is \(-1, 0\)"):
        AveragePool((2, 2), excess=(-1, 0))


def test_labels() -> None:
    assert MaxPool((3, 3), (2, 2)).label == "MaxPool 3x3 s2"
    assert AveragePool((7, 7)).label == "AveragePool 7x7"
    assert LpPool((3, 3), (2, 2)).label == "LpPool 3x3 s2 p2"
