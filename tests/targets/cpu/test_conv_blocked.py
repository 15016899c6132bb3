"""Direct convolution into blocked tensors: awkward sizes, rings, partial rows, channel parts, groups, dilation."""

import numpy as np
import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernels import conv_blocked, conv_first
from tests.support.isas import NARROW
from tests.targets.cpu.kernel_harness import Case, Step, check, single_layer


def convolution(
    inputs: int,
    outputs: int,
    size: tuple[int, int],
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
    epilogue: tuple[Step, ...] = (),
) -> Network:
    generator = np.random.default_rng(inputs * 1000 + outputs)
    weights = generator.standard_normal((outputs, inputs // groups, *kernel)).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    operator = Conv(kernel, strides, pads, dilations, groups)
    return single_layer(operator, [(1, inputs, *size)], [weights, bias], epilogue)


def cases(network: Network, isa: Isa, **options: object) -> list[Case]:
    layer = network.layers[0]
    found = (*conv_blocked.candidates(layer, network, isa), *conv_first.candidates(layer, network, isa))
    assert found
    return [Case(network, lowered, **options) for lowered in found]  # type: ignore[arg-type]


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (NARROW, False), (AVX512, True)])
def test_matches_the_reference(isa: Isa, clang: bool) -> None:
    relu = Step(Clip(0.0))
    residual = Step(Add(), operand=(1, 40, 9, 33))
    found = [
        *cases(convolution(16, 32, (9, 7)), isa),
        *cases(convolution(24, 40, (9, 33), epilogue=(residual, relu)), isa, step_rows=2, rings=True, extra_pads=2),
        *cases(convolution(7, 9, (8, 31), (1, 1), pads=(0, 0, 0, 0)), isa, step_rows=3, rings=True),
        *cases(convolution(33, 70, (31, 13), strides=(2, 2), pads=(0, 1, 1, 0)), isa, step_rows=1, rings=True, parts=2),
        *cases(
            convolution(3, 64, (33, 31), (7, 7), (2, 2), (3, 3, 3, 3), epilogue=(relu,)), isa, step_rows=4, rings=True
        ),
        *cases(convolution(1, 20, (15, 127), (5, 3), (1, 3), (2, 0, 2, 0)), isa),
        *cases(convolution(20, 16, (12, 12), (3, 2), dilations=(3, 2), pads=(3, 2, 1, 0)), isa, rows=(2, 7)),
        *cases(convolution(4, 17, (10, 9), (3, 3), dilations=(1, 2), pads=(0, 4, 0, 4)), isa, rows=(3, 8)),
        *cases(convolution(129, 129, (1, 1), (1, 1), pads=(0, 0, 0, 0)), isa, parts=3),
        *cases(convolution(16, 16, (5, 6), (3, 3), pads=(6, 6, 6, 6)), isa),
    ]
    check(found, isa, clang)


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_groups_of_any_size(isa: Isa) -> None:
    found = [
        *cases(convolution(96, 256, (7, 9), (5, 5), pads=(2, 2, 2, 2), groups=2), isa, parts=2),
        *cases(convolution(60, 90, (6, 7), (1, 1), pads=(0, 0, 0, 0), groups=3), isa),
        *cases(convolution(24, 36, (5, 5), groups=12), isa),
        *cases(convolution(112, 272, (4, 8), (1, 1), pads=(0, 0, 0, 0), groups=4), isa, step_rows=1),
        *cases(convolution(34, 34, (6, 6), groups=17), isa),
    ]
    check(found, isa)
