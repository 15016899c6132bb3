"""Parts of the channels and of the map."""

from dlfusion.ops.add import Add
from dlfusion.ops.slice import Slice
from dlfusion.targets.cpu.kernels.slicing import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_slices() -> None:
    """Whole and other channel units, steps forwards and backwards, rows shorter than a vector, an operand after it."""
    networks = [
        single_layer(Slice((16, 0, 0), (20, 6, 9)), [(1, 40, 6, 9)]),
        single_layer(Slice((5, 1, 2), (20, 3, 4), (1, 2, 2)), [(1, 40, 6, 9)]),
        single_layer(Slice((2, 0, 1), (3, 3, 16), (-1, 2, 2)), [(1, 3, 6, 33)]),
        single_layer(Slice((1, 5, 32), (9, 6, 33), (2, -1, -1)), [(1, 18, 6, 33)]),
        single_layer(Slice((0, 2, 1), (17, 3, 5)), [(1, 17, 7, 7)], epilogue=[Step(Add(), operand=(1, 17, 3, 5))]),
    ]
    check_all(networks, candidates, least=2)
