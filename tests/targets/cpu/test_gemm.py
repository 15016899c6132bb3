"""Fully connected layers over whole maps, in both layouts."""

import numpy as np
import pytest

from dlfusion.ops.clip import Clip
from dlfusion.ops.gemm import Gemm
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernels import gemm
from tests.targets.cpu.kernel_harness import Case, Step, check, single_layer


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_matches_the_reference(isa: Isa) -> None:
    found = []
    for inputs, outputs, size, parts in (
        (70, 1000, (1, 1), 2),
        (20, 33, (3, 5), 1),
        (3, 130, (7, 9), 3),
        (512, 8, (7, 7), 1),
    ):
        generator = np.random.default_rng(inputs)
        weights = generator.standard_normal((outputs, inputs, *size)).astype(np.float32)
        bias = generator.standard_normal(outputs).astype(np.float32)
        network = single_layer(Gemm(), [(1, inputs, *size)], [weights, bias], [Step(Clip(0.0))])
        lowered = gemm.candidates(network.layers[0], network, isa)
        found += [Case(network, item, parts=parts, extra_pads=1) for item in lowered]
    check(found, isa)
