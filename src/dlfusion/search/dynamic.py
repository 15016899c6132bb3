"""The cheapest way to cover all layers with blocks, exactly, if the times of blocks add up."""

from collections.abc import Callable
from typing import NamedTuple

from dlfusion.errors import PlanError
from dlfusion.plans.plan import Block

Option = tuple[float, Block]
"""Seconds of a block, and the block."""


class _Cover(NamedTuple):
    """Layers before some boundary, covered; ordered by what makes a cover better."""

    seconds: float
    length: int
    cores: int
    firsts: tuple[int, ...]
    blocks: tuple[Block, ...]


def best_cover(count: int, option: Callable[[int, int], Option | None]) -> tuple[Block, ...]:
    """The blocks of least total time that hold layers 0..count-1, each once and in order.

    `option(first, last)` is the best block of a range with its seconds, None if the range cannot be one block. Any run
    of consecutive layers is a possible block, for graphs with branches too, so the optimum over boundaries is found by
    one pass: the best cover of the layers before a boundary is a best cover before its last block, and that block.
    On equal seconds fewer blocks win, then fewer cores in total, then the cover whose first difference cuts earlier.

    Raises:
        PlanError: no combination of the blocks offered holds all layers.
    """
    best: list[_Cover | None] = [_Cover(0.0, 0, 0, (), ())]
    for end in range(1, count + 1):
        covers = [_extended(cover, option(first, end - 1)) for first, cover in enumerate(best) if cover is not None]
        best.append(min((cover for cover in covers if cover is not None), key=lambda cover: cover[:4], default=None))
    cover = best[count]
    if cover is None:
        reached = max(end for end, known in enumerate(best) if known is not None)
        raise PlanError(
            f"No legal blocks cover layer {reached}: none of those that hold it can be joined to blocks that hold the "
            f"{reached} layers before it. Allow more core counts or longer blocks."
        )
    return cover.blocks


def _extended(cover: _Cover, option: Option | None) -> _Cover | None:
    if option is None:
        return None
    seconds, block = option
    return _Cover(
        cover.seconds + seconds,
        cover.length + 1,
        cover.cores + block.cores,
        (*cover.firsts, block.first),
        (*cover.blocks, block),
    )
