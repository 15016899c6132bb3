"""Normalizations and reductions over channels, at every place of the map."""

import pytest

from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction
from dlfusion.targets.cpu.isa import AVX512
from dlfusion.targets.cpu.kernels.over_channels import candidates
from tests.targets.cpu.kernel_harness import Case, Step, check, single_layer
from tests.targets.cpu.row_cases import check_all

SHAPES: tuple[Shape, ...] = ((1, 96, 3, 7), (1, 21, 4, 33), (1, 3, 2, 129), (1, 16, 1, 1))


@pytest.mark.parametrize("operator", [LayerNormalize(), LpNormalize(1), LpNormalize(2), LogSoftmax()])
def test_every_pixel_on_its_own(operator: Operator) -> None:
    """Channel counts with and without an incomplete last vector, in both layouts, with and without an epilogue."""
    networks = [single_layer(operator, [shape]) for shape in SHAPES]
    networks.append(single_layer(operator, [SHAPES[1]], epilogue=[Step(Add(), operand=SHAPES[1])]))
    check_all(networks, candidates, least=2)


@pytest.mark.parametrize("reduction", Reduction)
def test_reductions(reduction: Reduction) -> None:
    """To one channel, which is planar, from both layouts."""
    networks = [single_layer(ReduceChannels(reduction), [shape]) for shape in SHAPES]
    networks.append(single_layer(ReduceChannels(reduction), [SHAPES[1]], epilogue=[Step(Clip(-0.5, 0.5))]))
    check_all(networks, candidates, least=2)


@pytest.mark.parametrize("scale", [1e-3, 3000.0])
def test_logarithms_of_any_scale(scale: float) -> None:
    network = single_layer(LogSoftmax(), [SHAPES[1]])
    check([Case(network, way, scale=scale) for way in candidates(network.layers[0], network, AVX512)], AVX512)


@pytest.mark.parametrize("offset", [0.0, 100.0, 10000.0])
def test_large_means_cost_no_digits(offset: float) -> None:
    """Against double precision, with means far from zero."""
    network = single_layer(LayerNormalize(), [SHAPES[0]])
    cases = [Case(network, way, offset=offset) for way in candidates(network.layers[0], network, AVX512)]
    check(cases, AVX512, tolerance=1e-5)
