import itertools

import numpy as np
import pytest

from dlfusion.ops.resize import Coordinates, Region, Resize, ResizeMode, Rounding
from tests.ops.onnx_runtime import run_node, uniform

SIZES = [(7, 14), (7, 21), (5, 13), (13, 5), (9, 4), (6, 6), (1, 4), (6, 1)]
SCALES = [(7, 2.0), (7, 1.5), (9, 0.6), (10, 2.3), (13, 0.5)]


MODES = [pair for pair in itertools.product(ResizeMode, Coordinates) if pair[1] is not Coordinates.CROP]


@pytest.mark.parametrize(("mode", "coordinates"), MODES)
def test_sizes_are_resized_like_onnx(mode: ResizeMode, coordinates: Coordinates) -> None:
    for (size, output), rounding in itertools.product(SIZES, Rounding):
        if mode is not ResizeMode.NEAREST and rounding is not Rounding.PREFER_FLOOR:
            continue
        x = uniform(1, 2, size, 5)
        sizes = np.array([1, 2, output, 8], np.int64)
        expected = run_node(
            "Resize",
            [x],
            [None, None, sizes],
            mode=str(mode),
            coordinate_transformation_mode=str(coordinates),
            nearest_mode=str(rounding),
        )
        operator = Resize(output, 8, mode, coordinates, rounding)
        message = f"{size} to {output}, {rounding}"
        np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=2e-6, err_msg=message)


@pytest.mark.parametrize(("mode", "coordinates"), MODES)
def test_scales_are_resized_like_onnx(mode: ResizeMode, coordinates: Coordinates) -> None:
    for (size, scale), rounding in itertools.product(SCALES, Rounding):
        if mode is not ResizeMode.NEAREST and rounding is not Rounding.PREFER_FLOOR:
            continue
        x = uniform(1, 2, size, 6)
        scales = np.array([1, 1, scale, 1.25], np.float32)
        expected = run_node(
            "Resize",
            [x],
            [None, scales],
            mode=str(mode),
            coordinate_transformation_mode=str(coordinates),
            nearest_mode=str(rounding),
        )
        height, width = expected.shape[2:]
        operator = Resize(height, width, mode, coordinates, rounding, (scale, 1.25))
        message = f"{size} by {scale}, {rounding}"
        np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=2e-6, err_msg=message)


@pytest.mark.parametrize("mode", ResizeMode)
@pytest.mark.parametrize("region", [((0.0, 1.0), (0.0, 1.0)), ((0.2, 0.7), (0.5, 0.5))])
def test_a_region_is_shown_as_onnx_does(mode: ResizeMode, region: Region) -> None:
    for output in (9, 4, 1):
        x = uniform(1, 2, 7, 6)
        (top, bottom), (left, right) = region
        constants = [np.array([0, 0, top, left, 1, 1, bottom, right], np.float32), None, np.array([1, 2, output, 5])]
        expected = run_node(
            "Resize", [x], constants, mode=str(mode), coordinate_transformation_mode="tf_crop_and_resize"
        )
        operator = Resize(output, 5, mode, Coordinates.CROP, region=region)
        np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", [ResizeMode.LINEAR, ResizeMode.CUBIC])
@pytest.mark.parametrize("excludes", [False, True])
def test_many_inputs_are_weighed_like_onnx(mode: ResizeMode, *, excludes: bool, antialias: bool) -> None:
    """Antialias, slopes of the cubic, and inputs outside the map that do not count."""
    if mode is ResizeMode.LINEAR and excludes and not antialias:
        return  # ONNX Runtime allows this only where more than two inputs are weighed
    for (size, output), coordinates in itertools.product(SIZES, (Coordinates.HALF_PIXEL, Coordinates.ALIGN_CORNERS)):
        x = uniform(1, 2, size, 11)
        expected = run_node(
            "Resize",
            [x],
            [None, None, np.array([1, 2, output, 4])],
            mode=str(mode),
            opset=18,
            coordinate_transformation_mode=str(coordinates),
            cubic_coeff_a=-0.5,
            exclude_outside=int(excludes),
            antialias=int(antialias),
        )
        operator = Resize(
            output,
            4,
            mode,
            coordinates,
            cubic_coefficient=-0.5,
            excludes_outside=excludes,
            antialias=antialias,
        )
        message = f"{size} to {output}, {coordinates}"
        np.testing.assert_allclose(operator.reference([x], []), expected, rtol=1e-5, atol=2e-6, err_msg=message)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    ("mode", "coordinates", "rounding"), list(itertools.product(ResizeMode, Coordinates, Rounding))
)
def test_windows_contain_all_taps_and_little_more(
    mode: ResizeMode, coordinates: Coordinates, rounding: Rounding, *, antialias: bool
) -> None:
    if mode is not ResizeMode.NEAREST and rounding is not Rounding.PREFER_FLOOR:
        return
    for size, output in itertools.product(range(1, 18), range(1, 40, 3)):
        for scales in (None, ((output + 0.4) / size, 1.0)):
            operator = Resize(output, 1, mode, coordinates, rounding, scales, antialias=antialias)
            window = operator.row_windows([(1, 1, size, 1)])[0]
            taps = operator.row_taps(size)
            for row, (lower, upper) in enumerate(zip(taps.lower, taps.upper, strict=True)):
                first, end = max(0, window.first(row)), min(size, window.end(row + 1))
                assert first <= lower <= upper < end
                slack = -(-size // output) + taps.most - (upper - lower + 1)
                assert lower - first <= slack
                assert end - 1 - upper <= slack


def test_doubling_reads_no_row_too_many() -> None:
    nearest = Resize(14, 14, ResizeMode.NEAREST, Coordinates.ASYMMETRIC, Rounding.FLOOR)
    window = nearest.row_windows([(1, 1, 7, 7)])[0]
    assert [(window.first(row), window.end(row + 1)) for row in range(14)] == [
        (row // 2, row // 2 + 1) for row in range(14)
    ]
    linear = Resize(14, 14, ResizeMode.LINEAR, Coordinates.HALF_PIXEL)
    window = linear.row_windows([(1, 1, 7, 7)])[0]
    for row in range(1, 13):
        assert (window.first(row), window.end(row + 1)) == ((row - 1) // 2, (row - 1) // 2 + 2)


def test_operations_and_refusals() -> None:
    assert Resize(4, 4).operations([(1, 3, 2, 2)], []) == 0
    assert Resize(4, 4, ResizeMode.LINEAR).operations([(1, 3, 2, 2)], []) == 8 * 3 * 16
    assert Resize(4, 6, ResizeMode.LINEAR).label == "Resize 4x6 linear"
    assert Resize(4, 6, ResizeMode.CUBIC).operations([(1, 3, 9, 9)], []) == 2 * 16 * 3 * 24
    assert Resize(4, 6, ResizeMode.CUBIC, antialias=True).label == "Resize 4x6 cubic antialias"
    with pytest.raises(ValueError, match=r"region that is not turned round, but it is \(\(0\.5, 0\.2\)"):
        Resize(4, 4, region=((0.5, 0.2), (0.0, 1.0)))
    with pytest.raises(ValueError, match="at least 1 x 1, but it is 0 x 4"):
        Resize(0, 4)
    with pytest.raises(ValueError, match="scales above 0"):
        Resize(4, 4, scales=(0.0, 1.0))
