"""Other orders of axes."""

from itertools import permutations

from dlfusion.ops.clip import Clip
from dlfusion.ops.transpose import Transpose
from dlfusion.targets.cpu.kernels.transpose import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_all_orders() -> None:
    """Every order in every pair of layouts, with sizes around those of vectors."""
    orders = [(first, second, third) for first, second, third in permutations((1, 2, 3))]
    networks = [single_layer(Transpose(order), [(1, 33, 7, 18)]) for order in orders]
    networks.append(single_layer(Transpose((2, 3, 1)), [(1, 20, 5, 16)], epilogue=[Step(Clip(0.0, 0.5))]))
    check_all(networks, candidates, least=4)
