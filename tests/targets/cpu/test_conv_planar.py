"""Convolution and transposed convolution in planar tensors, and transposed convolution in blocked ones."""

import numpy as np
import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.p_relu import PRelu
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernel import Layout
from dlfusion.targets.cpu.kernels import conv_planar, conv_transpose
from tests.support.isas import NARROW
from tests.targets.cpu.kernel_harness import Case, Step, check, compile_library, run, single_layer, supports
from tests.targets.cpu.test_conv_blocked import convolution


def planar(network: Network, isa: Isa, **options: object) -> list[Case]:
    found = conv_planar.candidates(network.layers[0], network, isa)
    assert found
    return [Case(network, lowered, **options) for lowered in found]  # type: ignore[arg-type]


def transposed(
    inputs: int,
    outputs: int,
    size: tuple[int, int],
    operator: ConvTranspose,
    isa: Isa,
    epilogue: tuple[Step, ...] = (),
    **options: object,
) -> list[Case]:
    generator = np.random.default_rng(inputs * 1000 + outputs)
    shape = (inputs, outputs // operator.groups, *operator.kernel)
    weights = generator.standard_normal(shape).astype(np.float32)
    bias = generator.standard_normal(outputs).astype(np.float32)
    network = single_layer(operator, [(1, inputs, *size)], [weights, bias], epilogue)
    found = conv_transpose.candidates(network.layers[0], network, isa)
    assert found[0].output_layout is Layout.BLOCKED
    return [Case(network, lowered, **options) for lowered in found]  # type: ignore[arg-type]


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (NARROW, False), (AVX512, True)])
def test_convolution(isa: Isa, clang: bool) -> None:
    slope = Step(PRelu(), (np.linspace(-1, 1, 12, dtype=np.float32),))
    residual = Step(Add(), operand=(1, 12, 9, 127))
    found = [
        *planar(convolution(12, 12, (9, 127), epilogue=(slope,)), isa, step_rows=1, rings=True),
        *planar(convolution(12, 12, (9, 127), epilogue=(residual, slope)), isa, step_rows=2, rings=True, parts=2),
        *planar(convolution(1, 56, (8, 33), (5, 5), pads=(2, 2, 2, 2)), isa, step_rows=3, rings=True),
        *planar(convolution(56, 12, (7, 31), (1, 1), pads=(0, 0, 0, 0)), isa, extra_pads=3),
        *planar(convolution(5, 7, (31, 129), (3, 2), (2, 1), (0, 2, 1, 0), (2, 3)), isa, step_rows=2, rings=True),
        *planar(convolution(3, 1, (9, 8)), isa, rows=(2, 5)),
    ]
    check(found, isa, clang)


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (NARROW, False), (AVX512, True)])
def test_transposed_convolution(isa: Isa, clang: bool) -> None:
    residual = Step(Add(), operand=(1, 20, 17, 25))
    found = [
        *transposed(
            20, 1, (7, 33), ConvTranspose((9, 9), (2, 2), (4, 4, 4, 4), output_padding=(1, 1)), isa, step_rows=2
        ),
        *transposed(33, 17, (5, 9), ConvTranspose((2, 2), (2, 2)), isa, step_rows=2, rings=True, parts=2),
        *transposed(
            8, 20, (9, 13), ConvTranspose((3, 3), (2, 2), (1, 1, 1, 1)), isa, (residual,), step_rows=1, rings=True
        ),
        *transposed(4, 3, (6, 8), ConvTranspose((4, 3), (3, 4), (1, 0, 0, 2), output_padding=(2, 3)), isa),
        *transposed(6, 5, (7, 7), ConvTranspose((3, 3), (2, 2), (2, 1, 0, 3), (2, 3), (1, 0)), isa, rows=(3, 9)),
        *transposed(24, 36, (4, 5), ConvTranspose((3, 3), (2, 1), (1, 1, 1, 1), groups=12), isa),
        *transposed(16, 16, (6, 6), ConvTranspose((1, 1), (3, 3)), isa, extra_pads=1),
    ]
    check(found, isa, clang)


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_rows_of_a_transposed_convolution_are_the_same_in_every_pairing(isa: Isa) -> None:
    if not supports(isa.name):
        pytest.skip(f"this machine has no {isa.name}")
    operator = ConvTranspose((5, 4), (2, 2), (2, 1, 2, 1))
    found = [
        case
        for step, first in ((1, 0), (2, 0), (2, 1), (7, 0))
        for case in transposed(9, 2, (8, 21), operator, isa, step_rows=step, rings=True, rows=(first, 15))
        if case.lowered.output_layout is Layout.PLANAR
    ]
    library = compile_library([case.lowered for case in found], isa)
    results = [run(case, getattr(library, f"case_{index}"), isa)[0][:, :, -14:] for index, case in enumerate(found)]
    assert len(results) == 4
    for result in results[1:]:
        assert np.array_equal(result, results[0])
