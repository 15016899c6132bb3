"""1x1 convolutions: whole and half vectors of output channels, awkward widths and channels, strides, epilogues."""

from dataclasses import replace

import numpy as np
import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.isa import AVX2, AVX512, NEON, Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels.conv_1x1 import candidates
from dlfusion.targets.cpu.precision import Precision
from tests.support.bfloat16 import unpack_units
from tests.support.isas import NARROW
from tests.targets.cpu.kernel_harness import Step, check, single_layer
from tests.targets.cpu.row_cases import check_all, drives


def _network(
    inputs: int, outputs: int, size: tuple[int, int], conv: Conv | None = None, epilogue: tuple[Step, ...] = ()
) -> Network:
    generator = np.random.default_rng(inputs * 1000 + outputs)
    operator = conv or Conv((1, 1))
    weights = generator.standard_normal((outputs, inputs // operator.groups, *operator.kernel)).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    return single_layer(operator, [(1, inputs, *size)], [weights, bias], epilogue)


def _names(inputs: int, outputs: int, isa: Isa) -> list[str]:
    network = _network(inputs, outputs, (4, 30))
    return [way.function.split("<")[0] for way in candidates(network.layers[0], network, isa)]


@pytest.mark.parametrize("clang", [False, True])
def test_whole_vectors(clang: bool) -> None:
    """Register blocks of one to four units with units left over, last units that are not full, short last blocks."""
    networks = [
        _network(16, 16, (5, 29)),
        _network(7, 33, (4, 15), epilogue=(Step(Clip(0.0, 6.0)),)),
        _network(130, 145, (3, 7)),
        _network(17, 96, (9, 1)),
        _network(48, 32, (9, 31), Conv((1, 1), (2, 2))),
        _network(20, 64, (7, 16), Conv((1, 1), (3, 1)), (Step(Add(), operand=(1, 64, 3, 16)), Step(Clip(0.0)))),
    ]
    check_all(networks, candidates, clang=clang)


@pytest.mark.parametrize("clang", [False, True])
def test_half_vectors(clang: bool) -> None:
    """One, three and five halves, not all full; an input whose last unit holds few channels; strides."""
    networks = [
        _network(20, 24, (4, 29), epilogue=(Step(Add(), operand=(1, 24, 4, 29)), Step(Clip(0.0)))),
        _network(2, 40, (3, 11)),
        _network(34, 5, (3, 33)),
        _network(32, 20, (9, 31), Conv((1, 1), (2, 2))),
        _network(16, 12, (5, 1)),
    ]
    check_all(networks, candidates, clang=clang)


def test_where_halves_are_offered() -> None:
    """Only for few channels, an odd number of halves, and inputs that fall into pairs."""
    assert _names(96, 24, AVX512) == ["conv_1x1", "conv_1x1_halves"]
    assert _names(96, 24, AVX2) == ["conv_1x1"]
    assert _names(95, 24, AVX512) == ["conv_1x1"]
    assert _names(96, 32, AVX512) == ["conv_1x1"]
    assert _names(96, 72, AVX512) == ["conv_1x1"]
    assert _names(96, 6, NEON) == ["conv_1x1", "conv_1x1_halves"]


def _stored(network: Network, lowered: Lowered, lanes: int) -> Network:
    """The network with exactly the weights that a kernel of bfloat16 weights reads."""
    layer = network.layers[0]
    outputs, inputs = network.graph.parameters(layer.anchor)[0].shape[:2]
    most = int(lowered.function.removeprefix("conv_1x1<").split(",")[0])
    floats, parts, units_left = lowered.constants.finish(), [], -(-outputs // lanes)
    while units_left > 0:
        units = min(most, units_left)
        size = inputs * units * lanes // 2
        parts.append(unpack_units(floats[:size], units, lanes).reshape(inputs, units * lanes).T)
        floats, units_left = floats[size:], units_left - units
    exact = np.concatenate(parts)[:outputs, :, None, None].astype(np.float32)
    return replace(network, graph=replace(network.graph, constants={**network.graph.constants, "c0": exact}))


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (NARROW, False), (AVX512, True)])
def test_bfloat16_weights(isa: Isa, clang: bool) -> None:
    """The kernel computes with the weights that are stored, which are close to the given ones."""
    cases = []
    for inputs, outputs in ((20, 145), (33, 48), (16, 30)):
        network = _network(inputs, outputs, (5, 7), epilogue=(Step(Clip(0.0)),))
        way = candidates(network.layers[0], network, isa)[0]
        narrow = way.stored(Precision.BF16)
        assert narrow.function.endswith(", Bfloat16Weights>")
        assert narrow.constants.size < 0.6 * way.constants.size
        exact = _stored(network, narrow, isa.lanes)
        np.testing.assert_allclose(exact.graph.constants["c0"], network.graph.constants["c0"], rtol=2.0**-8)
        cases += drives(exact, narrow)
    check(cases, isa, clang)


def test_where_bfloat16_is_offered() -> None:
    """On small maps, for weights that it can hold."""
    large = _network(16, 16, (14, 14))
    (way,) = candidates(large.layers[0], large, AVX512)
    assert way.stored(Precision.BF16) is way
    infinite = _network(16, 16, (7, 7))
    infinite.graph.constants["c0"][0, 0] = np.inf
    (way,) = candidates(infinite.layers[0], infinite, AVX512)
    assert way.stored(Precision.BF16) is way


def test_other_convolutions_have_no_candidate() -> None:
    """Larger kernels, groups, padding and maps of one pixel are for the other kernels."""
    single = _network(16, 16, (1, 1))
    assert candidates(single.layers[0], single, AVX512) == ()
    for conv in (Conv((1, 3)), Conv((1, 1), groups=2), Conv((1, 1), pads=(0, 1, 0, 1))):
        network = _network(16, 16, (4, 8), conv)
        assert candidates(network.layers[0], network, AVX512) == ()
