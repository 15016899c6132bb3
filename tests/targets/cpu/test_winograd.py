"""Winograd convolution: every size of tiles, awkward maps, rings, partial rows, channel parts, rounding errors."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from dlfusion.layers.algorithm import OUTPUT_TILE, algorithms
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernels import winograd
from tests.support.isas import NARROW, X86_ISAS
from tests.targets.cpu.kernel_harness import Array, Case, Step, check, compile_library, run, supports
from tests.targets.cpu.test_conv_blocked import convolution

FIVE = (5, 5)
ERRORS = {(3, 2): 3e-6, (3, 4): 1e-5, (3, 6): 4e-5, (5, 2): 1e-5, (5, 4): 4e-5}
"""For each kernel and output tile, the largest error against float64 as a share of the output's scale, with 512 input
channels of normally distributed numbers: what `docs/kernels.md` states."""


def cases(network: Network, isa: Isa, **options: object) -> list[Case]:
    """One case for each size of tiles that the layer may have."""
    (layer,) = network.layers
    found = winograd.candidates(layer, network, isa)
    assert [way.algorithm for way in found] == list(algorithms(layer)[1:])
    return [Case(network, way, **options) for way in found]  # type: ignore[arg-type]


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (NARROW, False), (AVX512, True)])
def test_matches_the_reference(isa: Isa, clang: bool) -> None:
    relu = Step(Clip(0.0))
    residual = Step(Add(), operand=(1, 40, 9, 33))
    found = [
        *cases(convolution(16, 32, (9, 7)), isa),
        *cases(convolution(24, 40, (9, 33), epilogue=(residual, relu)), isa, step_rows=2, rings=True, extra_pads=2),
        *cases(convolution(33, 70, (31, 13), pads=(0, 1, 1, 0)), isa, step_rows=5, rings=True, parts=2),
        *cases(convolution(16, 48, (17, 12), pads=(0, 0, 0, 0)), isa, step_rows=6, rings=True),
        *cases(convolution(16, 16, (3, 2), pads=(6, 6, 6, 6)), isa),
        *cases(convolution(16, 16, (1, 1)), isa),
        *cases(convolution(20, 17, (11, 14), FIVE, pads=(2, 2, 2, 2)), isa, rows=(2, 9)),
        *cases(convolution(16, 32, (12, 29), FIVE, pads=(4, 1, 0, 3)), isa, step_rows=4, rings=True, parts=2),
    ]
    check(found, isa, clang, tolerance=5e-5)


def test_many_tiles_take_several_blocks() -> None:
    network = convolution(64, 32, (41, 83))
    found = cases(network, AVX512)
    most = [int(case.lowered.shape.split("/*tiles=*/")[1].split(",")[0]) for case in found]
    tiles = [-(-41 // size) * -(-83 // size) for size in OUTPUT_TILE.values()]
    assert all(count > 2 * limit for count, limit in zip(tiles, most, strict=True))
    check(found, AVX512, tolerance=5e-5)


@pytest.mark.parametrize(("kernel", "size"), ERRORS)
def test_kernel_transforms_are_exact_identities(kernel: int, size: int) -> None:
    """Sums of products of the transforms, in fractions, are the convolution: F(m, r) of polynomials."""
    side = size + kernel - 1
    points = winograd.finite_points(side)
    of_kernels = [[Fraction(value).limit_denominator(10**6) for value in row] for row in _transform(size, kernel)]
    for output in range(size):
        for tap in range(kernel):
            for position in range(side):
                total = Fraction(0)
                for index, point in enumerate(points):
                    total += point**output * of_kernels[index][tap] * _input_row(points, index)[position]
                if output == size - 1:
                    total += of_kernels[-1][tap] * _input_row(points, None)[position]
                assert total == (1 if position == output + tap else 0)


def _transform(size: int, kernel: int) -> NDArray[np.float64]:
    return winograd.kernel_transform(size, kernel)


def _input_row(points: tuple[Fraction, ...], without: int | None) -> list[Fraction]:
    """The coefficients of the product of (x - p) over all points p but one."""
    product = [Fraction(1)]
    for index, point in enumerate(points):
        if index != without:
            shifted, kept = [Fraction(0), *product], [*product, Fraction(0)]
            product = [high - point * low for high, low in zip(shifted, kept, strict=True)]
    return [*product, *[Fraction(0)] * (len(points) + 1 - len(product))]


def in_float64(network: Network, arrays: dict[str, Array]) -> NDArray[np.float64]:
    """The convolution of a layer without epilogue."""
    (layer,) = network.layers
    weights, bias = (array.astype(np.float64) for array in network.graph.parameters(layer.anchor))
    pad = weights.shape[2] // 2
    image = np.pad(arrays[layer.reads[0].value].astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(image, weights.shape[2:], (2, 3))
    result: NDArray[np.float64] = np.einsum("bchwij,ocij->bohw", windows, weights, optimize=True)
    return result + bias.reshape(1, -1, 1, 1)


@pytest.mark.parametrize("isa_name", X86_ISAS)
def test_errors_against_float64_are_small(isa_name: str) -> None:
    if not supports(isa_name):
        pytest.skip(f"this machine has no {isa_name}")
    isa = X86_ISAS[isa_name]
    for kernel in (3, 5):
        pad = kernel // 2
        network = convolution(512, 16, (24, 24), (kernel, kernel), pads=(pad, pad, pad, pad))
        found = cases(network, isa)
        library = compile_library([case.lowered for case in found], isa)
        for index, case in enumerate(found):
            actual, expected = run(case, getattr(library, f"case_{index}"), isa, in_float64)
            error = float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))
            limit = ERRORS[kernel, OUTPUT_TILE[case.lowered.algorithm]]
            assert error < limit
