"""Products of bfloat16: convolutions compute with both factors rounded, in every shape, and only where that pays."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.bfloat16 import pack_channels, rounded
from dlfusion.targets.cpu.isa import AVX512, AVX512_BF16, Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels import conv_1x1, conv_blocked
from dlfusion.targets.cpu.precision import Precision
from tests.support.bfloat16 import widened
from tests.targets.cpu.kernel_harness import Case, Step, compile_library, reference, run, single_layer, supports
from tests.targets.cpu.row_cases import drives

SAME = (1, 1, 1, 1)


def convolution(
    inputs: int, outputs: int, size: tuple[int, int], conv: Conv, epilogue: tuple[Step, ...] = ()
) -> Network:
    generator = np.random.default_rng(inputs + outputs)
    weights = generator.standard_normal((outputs, inputs // conv.groups, *conv.kernel)).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    return single_layer(conv, [(1, inputs, *size)], [weights, bias], epilogue)


def pairs(network: Network, isa: Isa = AVX512_BF16) -> list[Lowered]:
    """All ways to run the layer by products of bfloat16."""
    layer = network.layers[0]
    found = (*conv_1x1.candidates(layer, network, isa), *conv_blocked.candidates(layer, network, isa))
    narrow = [way.stored(Precision.BF16) for way in found]
    return [way for way in narrow if way.function.endswith(", Bfloat16Pairs>")]


def rounded_reference(network: Network, arrays: dict[str, Array]) -> NDArray[np.floating]:
    """The layer's result on weights and inputs that are rounded to bfloat16; operands of the epilogue are not."""
    constants = {**network.graph.constants, "c0": widened(rounded(network.graph.constants["c0"]))}
    exact = replace(network, graph=replace(network.graph, constants=constants))
    return reference(exact, {**arrays, "x0": widened(rounded(arrays["x0"]))})


def check(cases: list[Case], clang: bool = False) -> None:
    library = compile_library([case.lowered for case in cases], AVX512_BF16, clang)
    if not supports(AVX512_BF16.name):
        pytest.skip("compiled, but this CPU has no avx512_bf16 to run it")
    for index, case in enumerate(cases):
        actual, expected = run(case, getattr(library, f"case_{index}"), AVX512_BF16, rounded_reference)
        difference = np.abs(actual - expected).max()
        assert difference <= 1e-5 * np.abs(expected).max(), (
            f"{case.lowered.function} {case.lowered.shape}: {difference}"
        )


@pytest.mark.parametrize("clang", [False, True])
def test_pointwise_layers(clang: bool) -> None:
    """Whole and half vectors, odd channels, channels that end inside a unit, strides, rings and parts."""
    relu = Step(Clip(0.0))
    shapes: tuple[tuple[int, int, tuple[int, int], Conv, tuple[Step, ...]], ...] = (
        (16, 96, (9, 33), Conv((1, 1)), (relu,)),
        (24, 144, (7, 31), Conv((1, 1)), ()),
        (144, 24, (9, 33), Conv((1, 1)), (Step(Add(), operand=(1, 24, 9, 33)),)),
        (20, 40, (5, 8), Conv((1, 1)), (relu,)),
        (33, 145, (8, 7), Conv((1, 1)), ()),
        (7, 30, (3, 9), Conv((1, 1)), ()),
        (64, 48, (9, 31), Conv((1, 1), (2, 2)), (relu,)),
        (48, 24, (8, 33), Conv((1, 1), (2, 2)), ()),
        (256, 64, (33, 31), Conv((1, 1), (3, 2)), ()),
        (320, 64, (33, 33), Conv((1, 1)), ()),
    )
    networks = [convolution(*shape) for shape in shapes]
    ways = [(network, way) for network in networks for way in pairs(network)]
    names = [way.function.split("<")[0] for _, way in ways]
    assert names.count("conv_1x1") == len(networks)
    assert names.count("conv_1x1_halves") == 3
    check([case for network, way in ways for case in drives(network, way)], clang)


@pytest.mark.parametrize("clang", [False, True])
def test_larger_kernels(clang: bool) -> None:
    relu, residual = Step(Clip(0.0)), Step(Add(), operand=(1, 40, 9, 33))
    shapes: tuple[tuple[int, int, tuple[int, int], Conv, tuple[Step, ...]], ...] = (
        (16, 32, (9, 7), Conv((3, 3), pads=SAME), ()),
        (24, 40, (9, 33), Conv((3, 3), pads=SAME), (residual, relu)),
        (33, 70, (31, 13), Conv((3, 3), (2, 2), (0, 1, 1, 0)), ()),
        (64, 64, (8, 31), Conv((3, 3), (2, 2), SAME), (relu,)),
        (20, 16, (12, 12), Conv((3, 2), dilations=(3, 2), pads=(3, 2, 1, 0)), ()),
        (7, 33, (8, 9), Conv((5, 5), pads=(2, 2, 2, 2)), ()),
        (96, 64, (7, 9), Conv((5, 5), pads=(2, 2, 2, 2), groups=2), ()),
        (60, 90, (7, 7), Conv((3, 3), (1, 2), SAME, groups=3), ()),
        (16, 32, (5, 6), Conv((3, 3), (4, 4), pads=(6, 6, 6, 6)), ()),
        (160, 64, (33, 40), Conv((3, 3), pads=SAME), ()),
    )
    networks = [convolution(*shape) for shape in shapes]
    ways = [(network, way) for network in networks for way in pairs(network)]
    assert [way.function.split("<")[0] for _, way in ways] == ["conv_blocked"] * len(networks)
    check([case for network, way in ways for case in drives(network, way)], clang)


@pytest.mark.skipif(not supports(AVX512_BF16.name), reason="this CPU has no avx512_bf16")
def test_infinities_and_nan_reach_the_output() -> None:
    network = convolution(16, 32, (4, 8), Conv((1, 1)))
    (way,) = conv_1x1.candidates(network.layers[0], network, AVX512_BF16)
    library = compile_library([way.stored(Precision.BF16)], AVX512_BF16)
    for scale in (np.inf, np.nan):
        with np.errstate(invalid="ignore"):
            actual, _ = run(Case(network, way.stored(Precision.BF16), scale=scale), library.case_0, AVX512_BF16)
        assert not np.isfinite(actual).any()


def test_weights_lie_in_pairs_of_input_channels() -> None:
    weights = np.arange(4 * 2 * 16, dtype=np.float32).reshape(4, 2, 16)
    place = np.empty(weights.size // 2, np.float32)
    pack_channels(weights, place)
    stored = widened(place.view(np.uint16)).reshape(2, 2, 16, 2)
    assert np.array_equal(stored, weights.reshape(2, 2, 2, 16).transpose(0, 2, 3, 1))


def test_where_pairs_are_offered() -> None:
    """With the instruction, for weights that bfloat16 holds, where several pixels use each weight, and not in fp32."""
    network = convolution(64, 64, (14, 14), Conv((3, 3), pads=SAME))
    assert len(pairs(network)) == 1
    assert pairs(network, AVX512) == []
    (way,) = conv_blocked.candidates(network.layers[0], network, AVX512_BF16)
    assert way.stored(Precision.FP32) is way
    single = convolution(64, 64, (1, 1), Conv((1, 1)))
    (way,) = conv_blocked.candidates(single.layers[0], single, AVX512_BF16)
    assert way.stored(Precision.BF16).function.endswith(", Bfloat16Weights>")
    network.graph.constants["c0"][0, 0] = np.inf
    assert pairs(network) == []
