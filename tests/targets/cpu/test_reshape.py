"""Reshape keeps the elements' order for every pair of layouts."""

from dlfusion.ops.clip import Clip
from dlfusion.ops.reshape import Reshape
from dlfusion.targets.cpu.isa import AVX512
from dlfusion.targets.cpu.kernels.reshape import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_sizes() -> None:
    """Flattening, unflattening, and sizes that cut rows apart."""
    networks = [
        single_layer(Reshape((1, 20 * 5 * 7, 1, 1)), [(1, 20, 5, 7)]),
        single_layer(Reshape((1, 3, 4, 33)), [(1, 396, 1, 1)]),
        single_layer(Reshape((1, 21, 6, 10)), [(1, 12, 7, 15)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(Reshape((1, 1, 24, 16)), [(1, 24, 16, 1)]),
    ]
    check_all(networks, candidates, least=4)


def test_other_image_counts_have_no_candidate() -> None:
    """A kernel sees one image at a time."""
    network = single_layer(Reshape((2, 6, 2, 2)), [(1, 12, 2, 2)])
    assert candidates(network.layers[0], network, AVX512) == ()
