"""Local response normalization."""

import pytest

from dlfusion.ops.clip import Clip
from dlfusion.ops.lrn import Lrn
from dlfusion.targets.cpu.isa import AVX2, AVX512
from dlfusion.targets.cpu.kernels.lrn import candidates
from tests.targets.cpu.kernel_harness import Case, Step, check, single_layer
from tests.targets.cpu.row_cases import check_all


def test_windows() -> None:
    """Odd and even sizes, windows across vectors and past both ends, incomplete last vectors."""
    networks = [
        single_layer(Lrn(5, 1e-1, 0.75, 1.0), [(1, 96, 4, 7)]),
        single_layer(Lrn(4, 2.0, 0.5, 2.0), [(1, 20, 3, 9)]),
        single_layer(Lrn(1, 1.0, 1.0, 0.5), [(1, 3, 3, 5)]),
        single_layer(Lrn(13, 0.3, 0.75, 1.0), [(1, 37, 3, 5)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(Lrn(32, 0.3, 0.75, 1.0), [(1, 41, 3, 4)]),
        single_layer(Lrn(17, 0.3, 0.75, 1.0), [(1, 6, 3, 4)]),
    ]
    check_all(networks, candidates)


@pytest.mark.parametrize("scale", [1e-3, 200.0])
def test_scales(scale: float) -> None:
    """The power stays accurate where the base is near 1 and where it is far from it."""
    network = single_layer(Lrn(5, 1e-2, 0.75, 1.0), [(1, 40, 3, 9)])
    (way,) = candidates(network.layers[0], network, AVX512)
    check([Case(network, way, scale=scale)], AVX512, tolerance=1e-6)


def test_windows_wider_than_any_model_has_have_no_candidate() -> None:
    network = single_layer(Lrn(34), [(1, 40, 1, 1)])
    assert candidates(network.layers[0], network, AVX2) == ()
