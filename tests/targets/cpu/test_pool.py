"""Pooling over windows and whole maps."""

import ctypes

import numpy as np
import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.clip import Clip
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.targets.cpu.isa import AVX512
from dlfusion.targets.cpu.kernel import Pads
from dlfusion.targets.cpu.kernels.pool import candidates
from tests.targets.cpu.kernel_harness import Step, Tensor, compile_library, reference, single_layer, supports
from tests.targets.cpu.row_cases import check_all


def test_maximum() -> None:
    """Strides, pads (which are minus infinity, not zero), dilation, kernels wider than the map's border."""
    networks = [
        single_layer(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [(1, 20, 9, 31)]),
        single_layer(MaxPool((2, 2), (2, 2)), [(1, 16, 8, 8)]),
        single_layer(MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), [(1, 3, 7, 7)]),
        single_layer(MaxPool((5, 3), (3, 2), (2, 1, 2, 0), (2, 3)), [(1, 5, 13, 33)]),
        single_layer(MaxPool((13, 13), (1, 1), (6, 6, 6, 6)), [(1, 4, 7, 9)], epilogue=[Step(Clip(0.0, np.inf))]),
    ]
    check_all(networks, candidates, least=2)


def test_average() -> None:
    """Divisors with and without padding, with ceil mode's excess, and an epilogue with an operand."""
    networks = [
        single_layer(AveragePool((3, 3), (2, 2), (1, 1, 1, 1)), [(1, 20, 9, 31)]),
        single_layer(AveragePool((3, 3), (1, 1), (1, 1, 1, 1), count_include_pad=True), [(1, 16, 6, 8)]),
        single_layer(AveragePool((3, 2), (2, 2), (0, 1, 1, 0), (1, 1), True), [(1, 3, 9, 10)]),
        single_layer(AveragePool((7, 7)), [(1, 40, 7, 7)]),
        single_layer(AveragePool((2, 2), (2, 2)), [(1, 9, 6, 66)], epilogue=[Step(Add(), operand=(1, 9, 3, 33))]),
    ]
    check_all(networks, candidates, least=2)


def test_dilated_average() -> None:
    """Windows that skip elements, cut at every side."""
    networks = [
        single_layer(AveragePool((3, 3), (1, 2), (2, 3, 1, 2), dilations=(2, 3)), [(1, 20, 9, 31)]),
        single_layer(AveragePool((2, 3), (2, 1), (1, 1, 1, 1), (1, 0), True, (3, 1)), [(1, 3, 8, 10)]),
    ]
    check_all(networks, candidates, least=2)


def test_norms() -> None:
    """Windows that overlap or skip elements, padding that adds nothing, and an epilogue."""
    networks = [
        single_layer(LpPool((3, 3), (2, 2), (1, 1, 1, 1)), [(1, 20, 9, 31)]),
        single_layer(LpPool((3, 3), (1, 1), (1, 1, 1, 1), p=1), [(1, 16, 6, 8)]),
        single_layer(LpPool((3, 2), (2, 2), (0, 1, 1, 0), (2, 3)), [(1, 3, 9, 10)]),
        single_layer(LpPool((2, 2), (2, 2), p=1), [(1, 9, 6, 66)], epilogue=[Step(Add(), operand=(1, 9, 3, 33))]),
        single_layer(LpPool((40, 1), (7, 1)), [(1, 5, 99, 1)]),
    ]
    check_all(networks, candidates, least=2)


def test_norms_without_a_kernel() -> None:
    network = single_layer(LpPool((2, 2), p=3), [(1, 4, 6, 6)])
    assert candidates(network.layers[0], network, AVX512) == ()


def test_whole_map() -> None:
    """Means, maxima and norms of maps of awkward sizes."""
    networks: list[Network] = []
    for shape in ((1, 20, 7, 7), (1, 33, 9, 31), (1, 16, 1, 1)):
        networks.append(single_layer(GlobalAveragePool(), [shape], epilogue=[Step(Clip(0.0, 6.0))]))
        networks.append(single_layer(GlobalMaxPool(), [shape]))
        networks += [single_layer(GlobalLpPool(p), [shape], epilogue=[Step(Clip(0.0, 6.0))]) for p in (1, 2)]
    check_all(networks, candidates)


def test_not_a_number_reaches_every_window_that_holds_it() -> None:
    """Wherever the NaN lies in the window: first, in the middle or last."""
    if not supports(AVX512.name):
        pytest.skip("this machine cannot run AVX-512")
    network = single_layer(MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), [(1, 3, 5, 17)])
    ways = candidates(network.layers[0], network, AVX512)
    library = compile_library(ways, AVX512)
    image = np.random.default_rng(3).standard_normal((3, 5, 17)).astype(np.float32)
    image[0, 0, 0] = image[1, 2, 3] = image[1, 4, 16] = image[2, 1, 8] = np.nan
    expected = reference(network, {"x0": image[None]})[0]
    assert np.isnan(expected).sum() == 4 + 9 + 4 + 9
    for index, way in enumerate(ways):
        source = Tensor(image.shape, way.input_layouts[0], Pads(), AVX512.lanes, 5)
        target = Tensor(image.shape, way.output_layout, way.output_pads, AVX512.lanes, 5)
        source.write(image, 0, 5)
        function = getattr(library, f"case_{index}")
        function(ctypes.byref(source.rows()), ctypes.byref(target.rows()), None, 0, 5, 0, 1)
        np.testing.assert_array_equal(target.read(0, 5), expected)
