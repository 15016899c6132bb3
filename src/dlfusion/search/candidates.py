"""All ways to run a range of layers as one block that a strategy needs to tell apart."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import Schedule, block_flow, schedule
from dlfusion.plans.work import on_chip_bytes
from dlfusion.search.blocks import steps, tile_step
from dlfusion.search.problem import Problem


def candidates(problem: Problem, first: int, last: int) -> tuple[Block, ...]:
    """Every legal block of layers first..last: partition x core count x algorithms x step, in this order.

    Algorithms are those of `algorithm_choices`. Steps are those of `blocks.steps`: powers of two below the height of a
    band, with layers in tiles also multiples of whole tiles, and the whole map. Empty if the range cannot be one block.
    """
    return tuple(block for block, _ in _legal(problem, first, last))


def cuts(problem: Problem, first: int, last: int) -> Iterator[Schedule]:
    """The schedules of `candidates`, one after the other."""
    for block, cut in _legal(problem, first, last):
        yield schedule(problem.network, block) if cut is None else cut


def possible_ranges(problem: Problem, longest: int | None = None) -> Iterator[tuple[int, int]]:
    """First and last layer of every range that `can_be_block`, by first layer, then by length.

    `longest` is the most layers to a range, None for no limit.
    """
    count = len(problem.network.layers)
    for first in range(count):
        for last in range(first, count if longest is None else min(count, first + longest)):
            if not can_be_block(problem, first, last):
                break
            yield first, last


def can_be_block(problem: Problem, first: int, last: int) -> bool:
    """False if no block can hold these layers, nor any that begins at `first` and reaches further than `last`.

    A layer in a longer block must stream; and the rows that one row of output needs must fit on the chip.
    """
    if first == last:
        return True
    layers = problem.network.layers[first : last + 1]
    if not all(node.operator.streams for layer in layers for node in layer.nodes):
        return False
    room = problem.limits.on_chip_bytes
    return room is None or least_on_chip_bytes(problem, first, last) <= room


def least_on_chip_bytes(problem: Problem, first: int, last: int) -> int:
    """Activations in bytes that a core holds at least, in any block that begins at `first` and reaches `last` or more.

    Of each value that a layer in first..last reads, some core holds at once all rows that one row of output needs,
    however the block is cut: at least as many as the row with the smallest window inside the map. That presumes that
    each layer of the block computes a row at all; where a row of some layer reads nothing, the answer is 0.
    """
    network = problem.network
    fewest = problem.fewest_rows
    if any(rows < 1 for of_layer in fewest for rows in of_layer.values()):
        return 0
    rows: dict[str, int] = {}
    for of_layer in fewest[first : last + 1]:
        for value, needed in of_layer.items():
            rows[value] = max(rows.get(value, 0), needed)
    elements = sum(needed * network.shape(value)[1] * network.shape(value)[3] for value, needed in rows.items())
    return elements * problem.limits.element_bytes


def _legal(problem: Problem, first: int, last: int) -> Iterator[tuple[Block, Schedule | None]]:
    """The candidates; with their schedules where finding out whether they fit needed them."""
    if not can_be_block(problem, first, last):
        return
    ways = (Partition.ROWS, Partition.CHANNELS) if first == last else (Partition.ROWS,)
    for partition, cores in product(ways, problem.core_counts):
        yield from _with_cores(problem, Block(first, last, cores, partition))


def _with_cores(problem: Problem, block: Block) -> Iterator[tuple[Block, Schedule | None]]:
    """The candidates of one partition and core count, by algorithms, then by ascending step."""
    network, room = problem.network, problem.limits.on_chip_bytes
    without_room = replace(problem.limits, on_chip_bytes=None)
    if problems(network, block, without_room):
        return
    flow = block_flow(network, block)
    for algorithms in algorithm_choices(problem, block.first, block.last):
        named = replace(block, algorithms=algorithms)
        for step in steps(flow, block.cores, block.partition, tile_step(network, named)):
            stepped = replace(named, step_rows=step)
            cut = None
            if room is not None and block.first < block.last:
                cut = schedule(network, stepped)
                if on_chip_bytes(network, cut, problem.limits.element_bytes) > room:
                    continue
            yield stepped, cut


def algorithm_choices(problem: Problem, first: int, last: int) -> tuple[tuple[tuple[int, str], ...], ...]:
    """What `Block.algorithms` may be for layers first..last; the first is empty: all layers directly.

    A layer alone has all that it is offered. In a longer block every layer has its chosen algorithm, or all are direct:
    which algorithm is fastest hardly depends on the layers around.
    """
    if first == last:
        others = tuple(problem.algorithm_seconds[first])[1:]
        return ((), *(((first, name),) for name in others))
    return tuple(dict.fromkeys(((), problem.algorithms_of(first, last))))
