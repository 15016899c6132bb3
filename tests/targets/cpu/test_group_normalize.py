"""Normalization of groups of channels over the whole map."""

import pytest

from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.isa import AVX2, AVX512
from dlfusion.targets.cpu.kernels.group_normalize import candidates
from tests.ops.onnx_runtime import uniform
from tests.targets.cpu.kernel_harness import Case, Step, check, single_layer
from tests.targets.cpu.row_cases import check_all

CASES: tuple[tuple[Shape, int], ...] = (
    ((1, 32, 7, 9), 32),
    ((1, 33, 5, 13), 33),
    ((1, 64, 6, 5), 4),
    ((1, 60, 6, 5), 12),
    ((1, 60, 3, 17), 1),
    ((1, 96, 2, 3), 32),
    ((1, 3, 1, 1), 1),
)


def test_groups() -> None:
    """Groups of one channel, within vectors, across them and of whole vectors; channels shared by cores cut groups."""
    networks = [single_layer(GroupNormalize(groups), [shape]) for shape, groups in CASES]
    affine = Step(Affine(), parameters=(uniform(60), uniform(60, seed=1)))
    networks.append(single_layer(GroupNormalize(5), [(1, 60, 3, 17)], epilogue=[affine, Step(Clip(0.0, 2.0))]))
    check_all(networks, candidates)


@pytest.mark.parametrize("offset", [0.0, 100.0, 10000.0])
@pytest.mark.parametrize("groups", [1, 8, 40])
def test_large_means_cost_no_digits(groups: int, offset: float) -> None:
    """Against double precision, with means far from zero."""
    network = single_layer(GroupNormalize(groups), [(1, 40, 31, 33)])
    for isa in (AVX512, AVX2):
        (way,) = candidates(network.layers[0], network, isa)
        check([Case(network, way, offset=offset)], isa, tolerance=1e-5)
