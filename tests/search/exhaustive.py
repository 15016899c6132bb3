"""Every plan of a small problem, enumerated from legality alone, and a cost model without any pattern."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from zlib import crc32

from dlfusion.cost.model import Cost, Term
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import Schedule, block_flow, schedule
from dlfusion.plans.structure import structure
from dlfusion.search import find_strategy
from dlfusion.search.problem import Problem


@dataclass(frozen=True, slots=True)
class RandomCost:
    """Seconds that depend on a block's structure in no ordered way."""

    seed: int = 0
    name: str = "random"
    assumptions: tuple[str, ...] = ()

    def block(self, network: Network, cut: Schedule) -> Cost:
        """Between 0 and 1 second."""
        text = f"{self.seed} {structure(network, cut.block)}"
        return Cost((Term("random", crc32(text.encode()) / 2**32),))


def covers(layers: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """All ways to cut a row of layers into ranges."""
    for cuts in product((False, True), repeat=layers - 1):
        ends = [index for index, cut in enumerate(cuts) if cut] + [layers - 1]
        yield tuple(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))


def legal_blocks(problem: Problem, first: int, last: int) -> list[Block]:
    """All partitions x core counts x steps (powers of two, the whole map) x algorithms that legality allows."""
    network = problem.network
    height = max(network.shape(network.layers[index].output)[2] for index in range(first, last + 1))
    free = [index for index in range(first, last + 1) if kind(network.layers[index]).uses_array]
    picks = list(product((None, *problem.algorithms), repeat=len(free)))
    steps = [1 << power for power in range(height.bit_length())]
    found = []
    for partition, cores in product(Partition, problem.core_counts):
        whole = block_flow(network, Block(first, last, cores)).reference_height
        for step, picked in product([*steps, whole], picks):
            named = tuple((index, name) for index, name in zip(free, picked, strict=True) if name is not None)
            block = Block(first, last, cores, partition, step, named)
            if not problems(network, block, problem.limits):
                found.append(block)
    return found


def cheapest_seconds(problem: Problem, longest: int | None = None) -> float:
    """The least predicted time of all covers with all choices for each of their blocks."""
    count = len(problem.network.layers)
    table = {
        (first, last): min(
            (_seconds(problem, block) for block in legal_blocks(problem, first, last)), default=float("inf")
        )
        for last in range(count)
        for first in range(last + 1)
        if longest is None or last - first < longest
    }
    return min(sum(table.get(part, float("inf")) for part in cover) for cover in covers(count))


def _seconds(problem: Problem, block: Block) -> float:
    return problem.cost.block(problem.network, schedule(problem.network, block)).seconds


def planned(name: str, problem: Problem) -> Plan:
    """The plan of a strategy that does not measure."""
    strategy = find_strategy(name)
    assert hasattr(strategy, "plan")
    plan: Plan = strategy.plan(problem)
    return plan
