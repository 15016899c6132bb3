"""Depthwise convolution: the kernels for 3x3 and the one for everything else."""

import numpy as np
import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.isa import AVX512
from dlfusion.targets.cpu.kernels.depthwise import block_width, candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def _network(operator: Conv, shape: Shape, epilogue: tuple[Step, ...] = (), filters: int = 1) -> Network:
    generator = np.random.default_rng(5)
    outputs = shape[1] * filters
    weights = generator.standard_normal((outputs, 1, *operator.kernel)).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    return single_layer(operator, [shape], [weights, bias], epilogue)


def test_3x3() -> None:
    """Both strides, maps narrower than a block, odd heights (a last row without partner), epilogues at every row."""
    networks = []
    for channels, height, width in ((20, 7, 7), (16, 8, 9), (33, 5, 31), (8, 3, 2), (16, 1, 5)):
        for stride in (1, 2):
            operator = Conv((3, 3), (stride, stride), (1, 1, 1, 1), groups=channels)
            output = operator.output_shape([(1, channels, height, width)], [(channels, 1, 3, 3), (channels,)])
            epilogue = (Step(Add(), operand=output), Step(Clip(0.0, 6.0)))
            networks.append(_network(operator, (1, channels, height, width), epilogue))
    networks.append(_network(Conv((3, 3), (1, 1), (0, 2, 2, 0), groups=5), (1, 5, 9, 33)))
    networks.append(_network(Conv((3, 3), (2, 2), (2, 0, 0, 2), groups=17), (1, 17, 12, 12)))
    check_all(networks, candidates)


def test_other_kernels() -> None:
    """Rectangular kernels, dilation, unequal strides, kernels larger than the map."""
    networks = [
        _network(Conv((5, 5), (1, 1), (2, 2, 2, 2), groups=20), (1, 20, 9, 14)),
        _network(Conv((5, 5), (2, 2), (2, 2, 2, 2), groups=16), (1, 16, 7, 31), (Step(Clip(0.0, 6.0)),)),
        _network(Conv((3, 3), (1, 1), (2, 2, 2, 2), (2, 2), groups=9), (1, 9, 8, 33)),
        _network(Conv((3, 1), (2, 1), (1, 0, 1, 0), groups=3), (1, 3, 9, 8)),
        _network(Conv((7, 7), (1, 1), (3, 3, 3, 3), groups=4), (1, 4, 3, 3)),
        _network(Conv((1, 9), (1, 3), (0, 4, 0, 4), groups=18), (1, 18, 2, 129)),
    ]
    check_all(networks, candidates)


def test_several_filters_for_each_channel() -> None:
    """Channels that fill no unit, that end within one of several output units, and epilogues at every row."""
    networks = []
    for filters, channels, height, width in ((2, 20, 7, 9), (2, 33, 5, 14), (2, 5, 6, 2), (3, 17, 5, 8), (4, 3, 4, 5)):
        for stride in (1, 2):
            operator = Conv((3, 3), (stride, stride), (1, 1, 1, 1), groups=channels)
            parameters = [(channels * filters, 1, 3, 3), (channels * filters,)]
            output = operator.output_shape([(1, channels, height, width)], parameters)
            epilogue = (Step(Add(), operand=output), Step(Clip(0.0, 6.0)))
            networks.append(_network(operator, (1, channels, height, width), epilogue, filters))
    networks.append(_network(Conv((5, 1), (1, 1), (4, 0, 4, 0), (2, 1), groups=6), (1, 6, 9, 8), filters=4))
    check_all(networks, candidates)


def test_with_clang() -> None:
    """The kernels compile without warnings and work there too."""
    networks = [
        _network(Conv((3, 3), (1, 1), (1, 1, 1, 1), groups=20), (1, 20, 7, 7)),
        _network(Conv((5, 5), (2, 2), (2, 2, 2, 2), groups=16), (1, 16, 7, 31)),
        _network(Conv((3, 3), (1, 1), (1, 1, 1, 1), groups=20), (1, 20, 7, 7), filters=2),
    ]
    check_all(networks, candidates, clang=True)


@pytest.mark.parametrize(("width", "block"), [(112, 7), (7, 7), (8, 4), (9, 5), (16, 4), (3, 3), (1, 1), (13, 7)])
def test_block_width(width: int, block: int) -> None:
    """Divisors of the width win, then the widest block."""
    assert block_width(width) == block


def test_other_convolutions_have_no_candidate() -> None:
    """Many filters for each channel, or fewer groups than channels, are for the dense kernels."""
    for outputs, groups in ((36, 4), (4, 2)):
        operator = Conv((3, 3), groups=groups)
        weights = np.zeros((outputs, 4 // groups, 3, 3), np.float32)
        network = single_layer(operator, [(1, 4, 5, 5)], [weights, np.zeros(outputs, np.float32)])
        assert candidates(network.layers[0], network, AVX512) == ()
