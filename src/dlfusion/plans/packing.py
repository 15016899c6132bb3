"""Few plans that together hold many blocks, so that few programs need to be built and run to measure all of them."""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block


def pack(network: Network, wanted: Sequence[Block], fill: Callable[[int], Block]) -> tuple[tuple[Block, ...], ...]:
    """The blocks of whole plans, few of them, such that every wanted block is in one; each wanted block once.

    Blocks are treated as intervals of layers: cutting them into the fewest sets without overlaps takes as many sets as
    blocks meet at the busiest layer, and taking blocks by their first layer into a set that has room reaches that
    number. Layers that a set leaves free are filled with `fill(layer)`, a block of that layer alone. The same wanted
    blocks give the same plans, in whatever order they come.
    """
    order = sorted(dict.fromkeys(wanted), key=lambda block: (block.first, -block.last, repr(block)))
    covers: list[list[Block]] = []
    free_from: list[tuple[int, int]] = []  # a heap: the layer behind a cover's last block, and the cover's index
    for block in order:
        if free_from and free_from[0][0] <= block.first:
            cover = heappop(free_from)[1]
        else:
            cover = len(covers)
            covers.append([])
        covers[cover].append(block)
        heappush(free_from, (block.last + 1, cover))
    return tuple(_filled(len(network.layers), blocks, fill) for blocks in covers)


def _filled(count: int, blocks: Sequence[Block], fill: Callable[[int], Block]) -> tuple[Block, ...]:
    """The blocks with the layers between them, and those behind up to `count` layers, filled up."""
    whole: list[Block] = []
    next_layer = 0
    for block in blocks:
        whole += [*map(fill, range(next_layer, block.first)), block]
        next_layer = block.last + 1
    return (*whole, *map(fill, range(next_layer, count)))
