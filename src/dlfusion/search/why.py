"""Why a plan cuts where it cuts and gives the cores that it gives: predictions of the alternatives, as data."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dlfusion.cost.model import Cost
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import block_flow, schedule
from dlfusion.search.candidates import candidates
from dlfusion.search.problem import Problem

HIDDEN = "hidden"
"""The cost models' term for what hides behind another part: it follows the others, so it decides nothing by itself."""

BUFFER = "buffer limit"
WHOLE_INPUT = "whole input"
CORE_COUNTS = "core counts"
"""Decided where merging is impossible: too little on-chip memory, a layer that must stand alone, or only core counts
that are larger than the rows of the block."""


@dataclass(frozen=True, slots=True)
class Change:
    """A term of the predicted time with the boundary cut and with it merged, in seconds."""

    term: str
    cut_seconds: float
    merged_seconds: float

    @property
    def saved_by_cutting(self) -> float:
        """Seconds; negative where merging saves."""
        return self.merged_seconds - self.cut_seconds


@dataclass(frozen=True, slots=True)
class Boundary:
    """The boundary behind layer `after`.

    `cut` says what the plan does. `cut_seconds` is the predicted time of what lies on its two sides as two blocks,
    `merged_seconds` as one block, None if that cannot be run; `problem` says why not, with the numbers. `decided` is
    the term that speaks most for the cheaper way, or what makes merging impossible. The side that the plan did not
    choose is shown at its predicted best: over cores, steps, partitions and algorithms.
    """

    after: int
    cut: bool
    cut_seconds: float
    merged_seconds: float | None
    decided: str
    changes: tuple[Change, ...] = ()
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the plan does what the prediction says is no slower."""
        if self.merged_seconds is None:
            return self.cut
        return self.cut_seconds <= self.merged_seconds if self.cut else self.merged_seconds <= self.cut_seconds


@dataclass(frozen=True, slots=True)
class CoreChoice:
    """A block on some number of cores: as planned if `chosen`, else the predicted best of that number.

    `seconds` is None where the block cannot be run on so many cores.
    """

    cores: int
    chosen: bool
    seconds: float | None
    partition: str = ""
    step_rows: int = 0


@dataclass(frozen=True, slots=True)
class BlockReason:
    """A block of the plan: its predicted time, the terms of it, and what other core counts would cost."""

    index: int
    first: int
    last: int
    seconds: float
    terms: tuple[tuple[str, float], ...]
    choices: tuple[CoreChoice, ...]


@dataclass(frozen=True, slots=True)
class Reasons:
    """All reasons of a plan. `layers` has the name of every layer; `cost_model` is what predicted."""

    model: str
    strategy: str
    machine: str
    cost_model: str
    layers: tuple[str, ...]
    boundaries: tuple[Boundary, ...]
    blocks: tuple[BlockReason, ...]


class _Costs:
    """Predictions of one problem, each made once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._costs: dict[Block, Cost] = {}
        self._ranges: dict[tuple[int, int], tuple[Block, ...]] = {}

    def of(self, block: Block) -> Cost:
        """The predicted cost of a legal block."""
        key = replace(block, reason="")
        if key not in self._costs:
            network = self.problem.network
            self._costs[key] = self.problem.cost.block(network, schedule(network, key))
        return self._costs[key]

    def best(self, blocks: Iterable[Block]) -> Block | None:
        """The cheapest of some legal blocks, the first on a tie; None if there is none."""
        return min(blocks, key=lambda block: self.of(block).seconds, default=None)

    def options(self, first: int, last: int) -> tuple[Block, ...]:
        """All legal blocks of layers first..last."""
        if (first, last) not in self._ranges:
            self._ranges[first, last] = tuple(candidates(self.problem, first, last))
        return self._ranges[first, last]


def reasons(problem: Problem, plan: Plan) -> Reasons:
    """Why a legal plan of the problem is as it is, by the problem's cost model."""
    costs = _Costs(problem)
    boundaries: list[Boundary] = []
    for index, block in enumerate(plan.blocks):
        boundaries += [_inner(costs, block, after) for after in range(block.first, block.last)]
        if index + 1 < len(plan.blocks):
            boundaries.append(_outer(costs, block, plan.blocks[index + 1]))
    return Reasons(
        model=problem.network.graph.name,
        strategy=plan.strategy,
        machine=problem.machine.name,
        cost_model=problem.cost.name,
        layers=tuple(layer.name for layer in problem.network.layers),
        boundaries=tuple(boundaries),
        blocks=tuple(_block(costs, index, block) for index, block in enumerate(plan.blocks)),
    )


def _outer(costs: _Costs, left: Block, right: Block) -> Boundary:
    """A boundary that the plan cuts: its two blocks as they are, against the best block of both."""
    merged = costs.best(costs.options(left.first, right.last))
    seconds = costs.of(left).seconds + costs.of(right).seconds
    if merged is None:
        decided, problem = _obstacle(costs.problem, left.first, right.last)
        return Boundary(left.last, True, seconds, None, decided, problem=problem)
    return _weighed(left.last, True, (costs.of(left), costs.of(right)), costs.of(merged))


def _inner(costs: _Costs, block: Block, after: int) -> Boundary:
    """A boundary inside a block: the block as it is, against the best blocks of its two parts."""
    parts = (costs.best(costs.options(block.first, after)), costs.best(costs.options(after + 1, block.last)))
    halves = tuple(costs.of(part) for part in parts if part is not None)
    return _weighed(after, False, halves, costs.of(block))


def _weighed(after: int, cut: bool, parts: tuple[Cost, ...], merged: Cost) -> Boundary:
    terms = dict.fromkeys(term.name for cost in (*parts, merged) for term in cost.terms)
    changes = tuple(Change(name, sum(_seconds(cost, name) for cost in parts), _seconds(merged, name)) for name in terms)
    cut_seconds = sum(cost.seconds for cost in parts)
    cutting_wins = cut_seconds <= merged.seconds
    deciding = [change for change in changes if change.term != HIDDEN] or list(changes)
    largest = max(deciding, key=lambda change: change.saved_by_cutting if cutting_wins else -change.saved_by_cutting)
    return Boundary(after, cut, cut_seconds, merged.seconds, largest.term, changes)


def _seconds(cost: Cost, name: str) -> float:
    return sum(term.seconds for term in cost.terms if term.name == name)


def _obstacle(problem: Problem, first: int, last: int) -> tuple[str, str]:
    """What forbids layers first..last as one block, and the sentence with the numbers.

    Of all core counts the one with the fewest problems is asked, at one row a step: what needs the least memory.
    """
    rows = block_flow(problem.network, Block(first, last, 1)).reference_rows
    counts = [count for count in problem.core_counts if count <= rows] or list(problem.core_counts[:1])
    found = [problems(problem.network, Block(first, last, count), problem.limits) for count in counts]
    fewest = min(reversed(found), key=len)
    streams = all(
        node.operator.streams for index in range(first, last + 1) for node in problem.network.layers[index].nodes
    )
    if not streams:
        return WHOLE_INPUT, "; ".join(fewest)
    return (BUFFER if counts[0] <= rows else CORE_COUNTS), "; ".join(fewest)


def _block(costs: _Costs, index: int, block: Block) -> BlockReason:
    cost = costs.of(block)
    options = costs.options(block.first, block.last)
    choices = []
    for count in costs.problem.core_counts:
        chosen = count == block.cores
        best: Block | None = block if chosen else costs.best(option for option in options if option.cores == count)
        if best is None:
            choices.append(CoreChoice(count, False, None))
        else:
            choices.append(CoreChoice(count, chosen, costs.of(best).seconds, best.partition.value, best.step_rows))
    terms = tuple((term.name, term.seconds) for term in cost.terms)
    return BlockReason(index, block.first, block.last, cost.seconds, terms, tuple(choices))
