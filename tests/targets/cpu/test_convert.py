"""Conversions between layouts move every element, and keep to arrays that have no padding."""

import ctypes
import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.clip import Clip
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.convert import convert
from tests.targets.cpu.kernel_harness import Rows, Tensor, compile_library, single_layer, supports
from tests.targets.cpu.row_cases import check_all

SHAPES = ((1, 3, 4, 33), (1, 16, 3, 7), (1, 37, 5, 16), (1, 8, 3, 1), (1, 50, 2, 31))


def _all_pairs(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    shape = network.shape(layer.output)
    return tuple(convert(shape, source, target, isa) for source, target in product(Layout, Layout))


@pytest.mark.parametrize("clang", [False, True])
def test_every_pair_of_layouts(clang: bool) -> None:
    """Rings, bands, parts and pads of every size."""
    identity = Clip(-math.inf, math.inf)
    shapes = SHAPES[:2] if clang else SHAPES
    check_all([single_layer(identity, [shape]) for shape in shapes], _all_pairs, least=4, clang=clang)


@pytest.mark.parametrize("isa", [AVX512, AVX2], ids=lambda isa: isa.name)
def test_user_arrays_are_read_and_written_exactly(isa: Isa) -> None:
    """A dense N x C x H x W array is planar without pads: no float before, after or between its rows may change."""
    library = compile_library(
        [
            convert((1, 1, 1, 1), Layout.PLANAR, Layout.BLOCKED, isa),
            convert((1, 1, 1, 1), Layout.BLOCKED, Layout.PLANAR, isa),
        ],
        isa,
    )
    if not supports(isa.name):
        return
    for channels, height, width in ((3, 2, 5), (20, 3, 7), (5, 2, 19), (17, 1, 16)):
        image = np.random.default_rng(1).standard_normal((channels, height, width)).astype(np.float32)
        blocked = Tensor((channels, height, width), Layout.BLOCKED, Pads(1, 2), isa.lanes, height)
        guarded = np.full(image.size + 64, np.nan, np.float32)
        guarded[32:-32] = image.reshape(-1)
        _call(library.case_0, _dense_rows(guarded, image.shape), blocked.rows(), height)
        np.testing.assert_array_equal(blocked.read(0, height), image)
        padding_lanes = blocked.cells[:, -1, 1:-2, channels - (blocked.units - 1) * isa.lanes :]
        assert not padding_lanes.any(), "lanes past the last channel are zero, so that nothing reads NaN from them"

        result = np.full_like(guarded, np.nan)
        _call(library.case_1, blocked.rows(), _dense_rows(result, image.shape), height)
        np.testing.assert_array_equal(result, guarded)


def _dense_rows(guarded: np.ndarray, shape: tuple[int, int, int]) -> Rows:
    channels, height, width = shape
    return Rows(guarded.ctypes.data + 4 * 32, width, height * width, height, height, width, channels, 0, 0)


def _call(function: Callable[..., None], source: Rows, target: Rows, height: int) -> None:
    function(ctypes.byref(source), ctypes.byref(target), None, 0, height, 0, 1)
