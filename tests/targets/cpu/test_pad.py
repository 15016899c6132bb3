"""Padding in all modes, and cropping."""

from dlfusion.ops.add import Add
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.targets.cpu.kernels.pad import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_pads_and_crops() -> None:
    """Each side more and less, whole rows of padding, values other than zero, an operand after it."""
    networks = [
        single_layer(Pad(1, 2, 3, 4), [(1, 20, 4, 7)]),
        single_layer(Pad(2, 0, 0, 5, 1.5), [(1, 3, 3, 33)]),
        single_layer(Pad(-1, -2, -1, -3), [(1, 16, 6, 20)]),
        single_layer(Pad(-1, 3, 2, -4, -2.5), [(1, 5, 4, 9)]),
        single_layer(Pad(0, -7, 0, 9, 3.0), [(1, 2, 3, 7)]),
        single_layer(Pad(1, 1, 1, 1), [(1, 9, 3, 5)], epilogue=[Step(Add(), operand=(1, 9, 5, 7))]),
    ]
    check_all(networks, candidates, least=2)


def test_copies_of_the_map() -> None:
    """Every mode, with crops, rows shorter than a vector, and an operand after it."""
    networks = [
        single_layer(Pad(3, 2, 1, 4, mode=PadMode.REFLECT), [(1, 20, 4, 7)]),
        single_layer(Pad(2, 0, 7, 5, mode=PadMode.EDGE), [(1, 3, 3, 33)]),
        single_layer(Pad(-1, 3, 2, -4, mode=PadMode.EDGE), [(1, 5, 4, 9)]),
        single_layer(Pad(2, 7, 3, 1, mode=PadMode.WRAP), [(1, 17, 3, 7)]),
        single_layer(
            Pad(1, 1, 1, 1, mode=PadMode.REFLECT), [(1, 9, 3, 5)], epilogue=[Step(Add(), operand=(1, 9, 5, 7))]
        ),
    ]
    check_all(networks, candidates, least=2)
