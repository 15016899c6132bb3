import math
from itertools import pairwise

import numpy as np
import pytest

from dlfusion.characterization.grid import (
    FEWEST_OPERATIONS,
    MOST_CORE_COUNTS,
    MOST_OPERATIONS,
    LayerPoint,
    Sort,
    find_grid,
    grid_names,
)
from dlfusion.errors import InputError

DEFAULT = find_grid("default")


def of(sort: Sort) -> list[LayerPoint]:
    return [point for point in DEFAULT.layers if point.sort is sort]


def test_convolutions_cover_the_ranges_that_were_asked_for() -> None:
    points = of(Sort.CONVOLUTION)
    operations = sorted(point.operations for point in points)
    assert FEWEST_OPERATIONS <= operations[0] < 2 * FEWEST_OPERATIONS
    assert MOST_OPERATIONS / 1.1 < operations[-1] <= MOST_OPERATIONS
    assert max(b / a for a, b in pairwise(operations)) < 4  # without wide gaps
    channels = {point.inputs for point in points}
    assert {8, 16, 32, 64, 128, 256, 512} <= channels
    assert any(count % 8 for count in channels)
    assert {7, 14, 28, 56, 112, 224} <= {point.size for point in points}
    assert {1, 3, 5, 7} == {point.kernel for point in points}
    assert {(kernel, 2) for kernel in (1, 3, 5, 7)} <= {(point.kernel, point.stride) for point in points}


def test_all_other_sorts_are_there() -> None:
    assert {point.stride for point in of(Sort.DEPTHWISE)} == {1, 2}
    assert {point.kernel for point in of(Sort.DEPTHWISE)} == {3, 5}
    for sort in (Sort.GEMM, Sort.MAX_POOL, Sort.AVERAGE_POOL, Sort.GLOBAL_POOL, Sort.SUM):
        assert len(of(sort)) >= 2


def test_chains_have_two_to_eight_layers() -> None:
    lengths = {length for chain in DEFAULT.chains for length in chain.lengths}
    assert lengths == {2, 3, 4, 6, 8}
    assert all(max(chain.lengths) == len(chain.layers) for chain in DEFAULT.chains)
    sorts = {tuple(dict.fromkeys(point.sort for point in chain.layers)) for chain in DEFAULT.chains}
    assert (Sort.CONVOLUTION, Sort.DEPTHWISE) in sorts
    assert (Sort.CONVOLUTION, Sort.MAX_POOL) in sorts


def test_operation_count_and_channels_vary_independently() -> None:
    """Else no fit could tell which of the two matters."""
    points = of(Sort.CONVOLUTION)
    features = np.log2([[point.operations, math.sqrt(point.inputs * point.outputs)] for point in points])
    assert abs(np.corrcoef(features.T)[0, 1]) < 0.5


@pytest.mark.parametrize("name", grid_names())
def test_labels_are_different_and_layers_are_listed_once(name: str) -> None:
    grid = find_grid(name)
    assert grid.name == name
    assert len({point.label for point in grid.layers}) == len(grid.layers)
    every = {*grid.layers, *(point for chain in grid.chains for point in chain.layers)}
    assert len({point.label for point in every}) == len(every)


def test_grids_grow() -> None:
    sizes = [len(find_grid(name).layers) for name in grid_names()]
    assert sizes == sorted(sizes)
    assert set(DEFAULT.layers) <= set(find_grid("large").layers)


def test_unknown_grid_names_those_that_exist() -> None:
    with pytest.raises(InputError, match="small, default, large"):
        find_grid("huge")


def test_few_core_counts_are_all_measured() -> None:
    assert DEFAULT.core_counts((1, 2, 4, 8, 16, 32)) == (1, 2, 4, 8, 16, 32)
    assert DEFAULT.core_counts(tuple(range(1, MOST_CORE_COUNTS + 1))) == tuple(range(1, MOST_CORE_COUNTS + 1))


def test_of_many_core_counts_a_selection_with_both_ends_is_measured() -> None:
    assert DEFAULT.core_counts(tuple(range(1, 25))) == (1, 2, 3, 4, 6, 8, 12, 16, 24)
    assert DEFAULT.core_counts(tuple(range(1, 12))) == (1, 2, 3, 4, 6, 8, 11)
    assert DEFAULT.core_counts(tuple(range(3, 33))) == (3, 4, 6, 8, 12, 16, 24, 32)
    assert find_grid("large").core_counts(tuple(range(1, 25))) == tuple(range(1, 25))
