"""Resizing in all modes, both layouts, up and down."""

from dlfusion.ops.clip import Clip
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode, Rounding
from dlfusion.targets.cpu.kernels.resize import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_nearest() -> None:
    """All roundings, doubled, shrunk and by an odd factor."""
    networks = [
        single_layer(Resize(10, 18), [(1, 20, 5, 9)]),
        single_layer(Resize(7, 33, coordinates=Coordinates.ASYMMETRIC, rounding=Rounding.FLOOR), [(1, 3, 12, 20)]),
        single_layer(Resize(9, 16, coordinates=Coordinates.ALIGN_CORNERS, rounding=Rounding.CEIL), [(1, 5, 4, 31)]),
    ]
    check_all(networks, candidates, least=2)


def test_linear() -> None:
    """All coordinate modes; sizes of one; an epilogue."""
    linear = ResizeMode.LINEAR
    networks = [
        single_layer(Resize(10, 18, linear), [(1, 20, 5, 9)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(Resize(7, 33, linear, Coordinates.ALIGN_CORNERS), [(1, 3, 12, 20)]),
        single_layer(Resize(9, 16, linear, Coordinates.ASYMMETRIC), [(1, 5, 4, 31)]),
        single_layer(Resize(1, 1, linear, Coordinates.PYTORCH_HALF_PIXEL), [(1, 17, 3, 3)]),
        single_layer(Resize(4, 4, linear), [(1, 33, 1, 1)]),
    ]
    check_all(networks, candidates, least=2)


def test_by_weights() -> None:
    """Cubic and antialias: few and many inputs of an output, rows shorter than a vector, sizes of one; an epilogue."""
    cubic, linear = ResizeMode.CUBIC, ResizeMode.LINEAR
    networks = [
        single_layer(Resize(10, 18, cubic), [(1, 20, 5, 9)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(Resize(7, 33, cubic, Coordinates.ALIGN_CORNERS, excludes_outside=True), [(1, 3, 12, 20)]),
        single_layer(Resize(3, 5, linear, antialias=True), [(1, 5, 14, 31)]),
        single_layer(Resize(2, 4, cubic, antialias=True), [(1, 33, 9, 40)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(Resize(4, 4, cubic), [(1, 33, 1, 1)]),
        single_layer(Resize(5, 6, cubic, Coordinates.CROP, region=((0.2, 0.8), (0.5, 1.0))), [(1, 4, 9, 8)]),
    ]
    check_all(networks, candidates, least=2)
