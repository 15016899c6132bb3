"""Softmax over channels."""

from dlfusion.ops.add import Add
from dlfusion.ops.operator import Shape
from dlfusion.ops.softmax import Softmax
from dlfusion.targets.cpu.isa import AVX512, Isa
from dlfusion.targets.cpu.kernels.softmax import candidates
from tests.targets.cpu.kernel_harness import Case, Step, check, single_layer
from tests.targets.cpu.row_cases import check_all

SHAPES: tuple[Shape, ...] = ((1, 1000, 1, 1), (1, 21, 5, 33), (1, 16, 3, 7), (1, 3, 2, 129))


def test_every_pixel_on_its_own() -> None:
    """Channel counts with and without an incomplete last vector, in both layouts."""
    networks = [single_layer(Softmax(), [shape]) for shape in SHAPES]
    networks.append(single_layer(Softmax(), [SHAPES[1]], epilogue=[Step(Add(), operand=SHAPES[1])]))
    check_all(networks, candidates, least=2)


def test_large_values_do_not_overflow() -> None:
    """Inputs in the thousands: without the subtraction of the maximum the sum would be infinite."""
    isa: Isa = AVX512
    network = single_layer(Softmax(), [SHAPES[1]])
    ways = candidates(network.layers[0], network, isa)
    check([Case(network, way, scale=3000.0) for way in ways], isa)
