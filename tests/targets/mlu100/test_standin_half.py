import ctypes
from pathlib import Path

import numpy as np
import pytest

from tests.targets.mlu100.standin_library import FLAGS, compiler_run

SOURCE = """
#include "half.hpp"
extern "C" void to_floats(const std::uint16_t* halves, float* floats, long count) {
  for (long index = 0; index < count; ++index) floats[index] = standin::half_to_float(halves[index]);
}
extern "C" void to_halves(const float* floats, std::uint16_t* halves, long count) {
  for (long index = 0; index < count; ++index) halves[index] = standin::float_to_half(floats[index]);
}
"""
EVERY_HALF = np.arange(1 << 16, dtype=np.uint16)


@pytest.fixture(scope="module")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("half")
    (folder / "half.cpp").write_text(SOURCE, encoding="utf-8")
    compiler_run([*FLAGS, "-shared", str(folder / "half.cpp"), "-o", str(folder / "half.so")])
    return ctypes.CDLL(str(folder / "half.so"))


def assert_same_halves(conversions: ctypes.CDLL, floats: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    ours = np.empty(floats.size, np.uint16)
    conversions.to_halves(
        floats.ctypes.data_as(ctypes.c_void_p), ours.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(floats.size)
    )
    with np.errstate(over="ignore"):
        expected = floats.astype(np.float16)
    nan = np.isnan(floats)
    assert np.isnan(ours.view(np.float16)[nan]).all()
    np.testing.assert_array_equal(ours[~nan], expected.view(np.uint16)[~nan])


def test_every_half_becomes_the_float_that_numpy_says(conversions: ctypes.CDLL) -> None:
    floats = np.empty(EVERY_HALF.size, np.float32)
    conversions.to_floats(
        EVERY_HALF.ctypes.data_as(ctypes.c_void_p), floats.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(1 << 16)
    )
    expected = EVERY_HALF.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(floats, expected)
    np.testing.assert_array_equal(np.signbit(floats), np.signbit(expected))


def test_floats_round_as_numpy_rounds_around_every_half_and_every_midpoint(conversions: ctypes.CDLL) -> None:
    exact = np.sort(EVERY_HALF.view(np.float16).astype(np.float64)[np.isfinite(EVERY_HALF.view(np.float16))])
    # 65520 lies halfway between the largest half and the next one, if there were one: from there on all is infinite.
    midpoints = np.concatenate([(exact[1:] + exact[:-1]) / 2, [65520.0, -65520.0]])
    points = np.concatenate([exact, midpoints]).astype(np.float32)
    above, below = np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(-np.inf))
    assert_same_halves(conversions, np.concatenate([points, above, below]))


def test_any_float_rounds_as_numpy_rounds(conversions: ctypes.CDLL) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 20, dtype=np.uint64).astype(np.uint32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38], np.float32)
    assert_same_halves(conversions, np.concatenate([bits.view(np.float32), special]))
