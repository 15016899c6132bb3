"""Every plan of a small problem, enumerated from legality alone, and a cost model without any pattern."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from zlib import crc32

from dlfusion.cost.model import Cost, Term
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import Schedule, block_flow, schedule
from dlfusion.plans.structure import structure
from dlfusion.search import find_strategy
from dlfusion.search.blocks import tile_step
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


@dataclass(frozen=True)
class Stated:
    """Seconds by algorithm; direct layers and those that are not named take 4 s each, and a fused block saves some."""

    seconds: dict[str, float]
    name: str = "stated"
    assumptions: tuple[str, ...] = ()

    def block(self, network: Network, cut: Schedule) -> Cost:
        """The sum over layers, a tenth less for each that is fused."""
        total = sum(self.seconds.get(cut.block.algorithm(index), 4.0) for index in cut.block.layers)
        return Cost((Term("all", total * 0.9 ** (len(cut.block.layers) - 1) / cut.block.cores**0.5),))


def covers(layers: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """All ways to cut a row of layers into ranges."""
    for cuts in product((False, True), repeat=layers - 1):
        ends = [index for index, cut in enumerate(cuts) if cut] + [layers - 1]
        yield tuple(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))


def legal_blocks(problem: Problem, first: int, last: int) -> list[Block]:
    """All partitions x core counts x steps x algorithms that legality allows.

    Steps are powers of two and the whole map, with layers in tiles also multiples of whole tiles. A layer alone has all
    algorithms, in longer blocks all layers have their chosen one or none has.
    """
    network = problem.network
    height = max(network.shape(network.layers[index].output)[2] for index in range(first, last + 1))
    chosen = [(index, problem.chosen_algorithms[index]) for index in range(first, last + 1)]
    picks: list[tuple[tuple[int, str], ...]] = [tuple((i, name) for i, name in chosen if name != "direct")]
    if first == last:
        picks = [((first, name),) for name in problem.algorithms if name != "direct"]
    picks.append(())
    powers = [1 << power for power in range(height.bit_length())]
    found = []
    for partition, cores in product(Partition, problem.core_counts):
        whole = block_flow(network, Block(first, last, cores)).reference_height
        for named in dict.fromkeys(picks):
            unit = tile_step(network, Block(first, last, cores, algorithms=named))
            for step in sorted({*powers, *(unit * power for power in powers), whole}):
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
