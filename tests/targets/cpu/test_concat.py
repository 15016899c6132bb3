"""Concatenation: aligned and unaligned channel ranges, inputs left out because they are in place."""

import ctypes

import numpy as np
import pytest

from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.isa import AVX2, AVX512
from dlfusion.targets.cpu.kernel import Layout, Pads
from dlfusion.targets.cpu.kernels.concat import candidates, writable_inputs
from tests.targets.cpu.kernel_harness import Rows, Step, Tensor, compile_library, single_layer, supports
from tests.targets.cpu.row_cases import check_all


def _shapes(channels: tuple[int, ...], height: int, width: int) -> list[Shape]:
    return [(1, count, height, width) for count in channels]


def test_all_ranges() -> None:
    """Channel counts below, at and across vectors, alone and with an epilogue that has operands."""
    networks = []
    for channels, height, width in (((16, 32, 16), 5, 9), ((3, 20, 1, 1, 8), 4, 7), ((24, 24), 3, 33), ((5,), 3, 16)):
        shapes = _shapes(channels, height, width)
        total = sum(channels)
        slopes = np.linspace(-1, 1, total).astype(np.float32)
        epilogue = [
            Step(Affine(), (slopes, slopes)),
            Step(Add(), operand=(1, total, height, width)),
            Step(Clip(0.0, 6.0)),
        ]
        networks += [single_layer(Concat(), shapes), single_layer(Concat(), shapes, epilogue=epilogue)]
    check_all(networks, candidates, least=2)


@pytest.mark.parametrize(
    ("channels", "blocked"),
    [((16, 32, 5), {0, 1, 2}), ((16, 24, 16), {0}), ((24, 16), set()), ((5,), {0})],
)
def test_which_inputs_can_be_written_in_place(channels: tuple[int, ...], blocked: set[int]) -> None:
    """Whole vectors of channels in blocked tensors, any range in planar ones, none under an epilogue."""
    network = single_layer(Concat(), _shapes(channels, 2, 2))
    assert writable_inputs(network.layers[0], network, AVX512, Layout.BLOCKED) == blocked
    assert writable_inputs(network.layers[0], network, AVX512, Layout.PLANAR) == set(range(len(channels)))
    network = single_layer(Concat(), _shapes(channels, 2, 2), epilogue=[Step(Clip(0.0, 6.0))])
    assert writable_inputs(network.layers[0], network, AVX512, Layout.PLANAR) == set()


def test_written_inputs_are_left_alone() -> None:
    """What is in the output already stays; the inputs that were not written are copied around it."""
    if not supports(AVX2.name):
        pytest.skip("this machine cannot run AVX2")
    network = single_layer(Concat(), _shapes((8, 16, 3), 3, 9))
    ways = candidates(network.layers[0], network, AVX2, written={1})
    assert [way.output_layout for way in ways] == [Layout.BLOCKED, Layout.PLANAR]
    library = compile_library(ways, AVX2)
    generator = np.random.default_rng(2)
    images = [generator.standard_normal((count, 3, 9)).astype(np.float32) for count in (8, 16, 3)]
    for index, way in enumerate(ways):
        inputs = [Tensor(image.shape, way.output_layout, Pads(1, 1), AVX2.lanes, 3) for image in images]
        for position in (0, 2):
            inputs[position].write(images[position], 0, 3)
        output = Tensor((27, 3, 9), way.output_layout, Pads(), AVX2.lanes, 3)
        before = np.concatenate([np.zeros_like(images[0]), images[1], np.zeros_like(images[2])])
        output.write(before, 0, 3)
        rows = (Rows * 3)(*[tensor.rows() for tensor in inputs])
        function = getattr(library, f"case_{index}")
        function(ctypes.byref(rows), ctypes.byref(output.rows()), None, 0, 3, 0, 1)
        np.testing.assert_array_equal(output.read(0, 3), np.concatenate(images))


def test_more_inputs_than_the_kernel_holds() -> None:
    """64 inputs work, 65 have no candidate."""
    for count, ways in ((64, 2), (65, 0)):
        network = single_layer(Concat(), _shapes((1,) * count, 1, 16))
        assert len(candidates(network.layers[0], network, AVX512)) == ways
