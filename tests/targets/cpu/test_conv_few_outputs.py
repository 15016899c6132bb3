"""Convolution from blocked tensors into planar ones of few channels."""

import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernel import Layout
from dlfusion.targets.cpu.kernels import candidates, conv_few_outputs
from tests.support.isas import NARROW
from tests.targets.cpu.kernel_harness import Case, Step, check
from tests.targets.cpu.test_conv_blocked import convolution

NO_PADS = (0, 0, 0, 0)


def cases(network: Network, isa: Isa, **options: object) -> list[Case]:
    found = conv_few_outputs.candidates(network.layers[0], network, isa)
    assert found
    return [Case(network, lowered, **options) for lowered in found]  # type: ignore[arg-type]


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (NARROW, False), (AVX512, True)])
def test_matches_the_reference(isa: Isa, clang: bool) -> None:
    residual = Step(Add(), operand=(1, 1, 9, 33))
    found = [
        *cases(convolution(64, 1, (9, 33), epilogue=(residual, Step(Clip(0.0)))), isa, step_rows=1, rings=True),
        *cases(convolution(20, 1, (7, 16), (5, 5), pads=(2, 2, 2, 2)), isa, step_rows=2, rings=True),
        *cases(convolution(33, 1, (15, 31), (3, 2), (2, 2), (1, 0, 0, 1)), isa, rows=(2, 5)),
        *cases(convolution(16, 1, (12, 9), dilations=(3, 2), pads=(3, 2, 3, 2)), isa, extra_pads=2),
        *cases(convolution(48, 2, (6, 45), (1, 1), pads=NO_PADS, epilogue=(Step(Clip(0.0)),)), isa, parts=2),
        *cases(convolution(31, 3, (8, 17), (1, 13), pads=(0, 6, 0, 6)), isa, step_rows=3, rings=True),
        *cases(convolution(32, 4, (5, 50)), isa, parts=3),
        *cases(convolution(17, 7, (9, 13), (4, 3), (1, 3), (2, 1, 1, 1)), isa, step_rows=2, rings=True),
        *cases(convolution(40, 12, (4, 1)), isa),
    ]
    check(found, isa, clang)


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_is_the_cheapest_way_from_a_blocked_tensor(isa: Isa) -> None:
    for inputs, outputs in ((64, 1), (64, 3), (32, 4), (64, isa.lanes // 2)):
        network = convolution(inputs, outputs, (24, 256))
        found = candidates(network.layers[0], network, isa)
        blocked = [way for way in found if way.input_layouts[0] is Layout.BLOCKED]
        assert min(blocked, key=lambda way: way.cycles).header == "conv_few_outputs.hpp"


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_leaves_other_convolutions_alone(isa: Isa) -> None:
    for network in (
        convolution(64, 13, (8, 8)),  # too many outputs
        convolution(4, 1, (8, 8)),  # less than a vector of inputs
        convolution(32, 4, (8, 8), groups=2),
        convolution(32, 1, (40, 8), (33, 1)),  # more kernel rows than the kernel has room for
    ):
        assert conv_few_outputs.candidates(network.layers[0], network, isa) == ()
