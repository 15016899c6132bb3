"""The blocks that searches by measuring consider: not all candidates, since each takes time on the device."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import block_flow
from dlfusion.plans.structure import structure
from dlfusion.search.blocks import moved, step_rows, tile_step
from dlfusion.search.candidates import candidates, possible_ranges
from dlfusion.search.dynamic import Option
from dlfusion.search.problem import DIRECT, Problem

REDUCTION = (
    "Blocks have at most a stated number of layers.",
    "Of more than eight core counts, only the powers of two and the largest are tried.",
    "With caches, a layer alone runs in one step, and only several cores share its channels.",
    "With caches, a longer block runs in one step, or in steps of half, once or twice what `blocks.step_rows` says.",
    "With layers in tiles, only steps of whole rows of tiles.",
    "Algorithms that are predicted to take more than one and a half times as long as the chosen ones are left out.",
)
"""What the searches by measuring leave out of all candidates, one sentence each."""


SLOWEST_ALGORITHM = 1.5
"""Times the predicted seconds of the chosen algorithms: what takes longer is not tried."""


class Choices:
    """The reduced candidates of every range of layers; ranges of equal structure share one list."""

    def __init__(self, problem: Problem, longest: int) -> None:
        """`longest` is the most layers to a block."""
        self._problem = problem
        self._longest = longest
        self._known: dict[str, tuple[Block, ...]] = {}

    def ranges(self, length: int | None = None) -> Iterator[tuple[int, int]]:
        """First and last layer of every range that can be one block, of `length` layers if that is given."""
        for first, last in possible_ranges(self._problem, self._longest):
            if length is None or last - first + 1 == length:
                yield first, last

    def of(self, first: int, last: int) -> tuple[Block, ...]:
        """The blocks of a range, in the order of `candidates`."""
        digest = structure(self._problem.network, Block(first, last, 1))
        if digest not in self._known:
            found = candidates(self._problem, first, last)
            self._known[digest] = tuple(block for block in found if _is_kept(self._problem, block))
        return tuple(moved(block, first) for block in self._known[digest])


def few_core_counts(problem: Problem) -> tuple[int, ...]:
    """The core counts that are powers of two, and the largest; of eight or fewer counts, all."""
    counts = problem.core_counts
    if len(counts) <= 8:
        return counts
    return tuple(count for count in counts if count & (count - 1) == 0 or count == counts[-1])


def _is_kept(problem: Problem, block: Block) -> bool:
    if block.cores not in few_core_counts(problem) or not _has_fast_algorithms(problem, block):
        return False
    if problem.machine.buffer_is_memory:
        return True
    height = block_flow(problem.network, block).reference_height
    if block.first == block.last:
        return block.step_rows == height and (block.partition is Partition.ROWS or block.cores > 1)
    if block.step_rows == height:
        return True
    if block.step_rows % tile_step(problem.network, block):
        return False
    rule = step_rows(problem, block)
    return rule <= 2 * block.step_rows and block.step_rows <= 2 * rule


def _has_fast_algorithms(problem: Problem, block: Block) -> bool:
    """Whether the block's algorithms may be as fast as the chosen ones, by the predictions of layers alone."""
    named, chosen = dict(block.algorithms), problem.chosen_algorithms
    own = least = 0.0
    for index in block.layers:
        seconds = problem.algorithm_seconds[index]
        if seconds:
            own += seconds[named.get(index, DIRECT)]
            least += seconds[chosen[index]]
    return own <= SLOWEST_ALGORITHM * least


def brute_force_count(problem: Problem) -> int:
    """How many plans full brute force would measure: all covers of the layers x all candidates of every block.

    Exact. The covers that end with a given last block are those of the layers before it, times the block's candidates.
    """
    network = problem.network
    known: dict[str, int] = {}
    covers = [1, *[0] * len(network.layers)]
    for first, last in possible_ranges(problem):
        digest = structure(network, Block(first, last, 1))
        if digest not in known:
            known[digest] = len(candidates(problem, first, last))
        covers[last + 1] += covers[first] * known[digest]
    return covers[-1]


def with_reasons(blocks: tuple[Block, ...], best: Callable[[int, int], Option | None], word: str) -> tuple[Block, ...]:
    """The blocks, each with the times that its end rests on; `best` knows the best block of a range and its seconds.

    `word` says where times come from, such as `measured`.
    """
    ends = [_reason(best, word, *pair) for pair in pairwise(blocks)]
    ends += ["last layer of the network"] * bool(blocks)
    return tuple(replace(block, reason=reason) for block, reason in zip(blocks, ends, strict=True))


def _reason(best: Callable[[int, int], Option | None], word: str, block: Block, following: Block) -> str:
    parts = [best(part.first, part.last) for part in (block, following)]
    apart = sum(option[0] for option in parts if option is not None)
    merged = best(block.first, following.last)
    if merged is None:
        return f"{word}: {apart * 1e6:.1f} us with the next block; as one block they cannot run or were not tried"
    return f"{word}: {apart * 1e6:.1f} us apart from the next block, {merged[0] * 1e6:.1f} us as one with it"
