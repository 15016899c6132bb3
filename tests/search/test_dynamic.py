"""Proves that `best_cover` finds the least sum over all cuts and breaks ties as it states."""

from random import Random

import pytest

from dlfusion.errors import PlanError
from dlfusion.plans.plan import Block
from dlfusion.search.dynamic import best_cover
from tests.search.exhaustive import covers

Table = dict[tuple[int, int], tuple[float, Block]]


def table_of(seconds: dict[tuple[int, int], float], cores: int = 1) -> Table:
    return {part: (value, Block(*part, cores)) for part, value in seconds.items()}


def cover(count: int, table: Table) -> list[tuple[int, int]]:
    return [(block.first, block.last) for block in best_cover(count, lambda *part: table.get(part))]


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_best_of_all_covers(seed: int) -> None:
    random = Random(seed)
    count = random.randint(1, 9)
    parts = [(first, last) for last in range(count) for first in range(last + 1) if random.random() < 0.8]
    seconds = {part: random.random() * (part[1] - part[0] + 1) for part in parts}
    possible = [cuts for cuts in covers(count) if all(part in seconds for part in cuts)]
    if not possible:
        with pytest.raises(PlanError, match="No legal blocks cover layer"):
            cover(count, table_of(seconds))
        return
    assert cover(count, table_of(seconds)) == list(min(possible, key=lambda cuts: sum(seconds[part] for part in cuts)))


def test_ties_go_to_fewer_blocks() -> None:
    assert cover(2, table_of({(0, 0): 1.0, (1, 1): 1.0, (0, 1): 2.0})) == [(0, 1)]


def test_then_to_fewer_cores() -> None:
    dear = table_of({(0, 1): 2.0, (2, 2): 1.0}, cores=4)
    assert cover(3, dear | table_of({(0, 0): 1.0, (1, 2): 2.0})) == [(0, 0), (1, 2)]


def test_then_to_the_earlier_cut() -> None:
    table = table_of({(0, 1): 2.0, (2, 2): 1.0, (0, 0): 1.0, (1, 2): 2.0})
    assert cover(3, table) == [(0, 0), (1, 2)]


def test_the_layer_that_no_block_holds_is_named() -> None:
    with pytest.raises(PlanError, match=r"No legal blocks cover layer 1: .* the 1 layers before it"):
        best_cover(3, lambda first, last: (1.0, Block(0, 0, 1)) if (first, last) == (0, 0) else None)
