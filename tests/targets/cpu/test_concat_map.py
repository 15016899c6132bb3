"""Concatenation along the height and the width."""

from dlfusion.ops.clip import Clip
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.targets.cpu.kernels.concat_map import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_rows_and_columns() -> None:
    """Inputs of one row or column, rows shorter than a vector, and an epilogue."""
    networks = [
        single_layer(ConcatMap(2), [(1, 20, 4, 9), (1, 20, 1, 9), (1, 20, 3, 9)]),
        single_layer(ConcatMap(2), [(1, 3, 2, 33), (1, 3, 5, 33)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(ConcatMap(3), [(1, 20, 4, 9), (1, 20, 4, 1), (1, 20, 4, 3)]),
        single_layer(ConcatMap(3), [(1, 3, 5, 2), (1, 3, 5, 30)], epilogue=[Step(Clip(0.0, 1.0))]),
        single_layer(ConcatMap(3), [(1, 17, 3, 2), (1, 17, 3, 3)]),
    ]
    check_all(networks, candidates, least=2)
