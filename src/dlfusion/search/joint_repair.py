"""Repairs the walk's plan: other cuts, core counts and steps where the predicted gain is largest.

Dynamic programming over the closed-form predictions of all short ranges gives a cover. Its blocks are then checked by
the exact row arithmetic and predicted by the problem's cost model, which corrects the predictions of their ranges; the
next cover follows from the corrected numbers. This ends when a cover has no unchecked block, or when the budget of
evaluations is spent.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from dlfusion.cost.cpu_terms import CpuRates
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Network
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.machine import Machine
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.search.joint_rows import Facts, Floats, Tables
from dlfusion.search.problem import Problem

FUSION_DOUBT = 0.05
"""With caches a block must gain this share: layers alone leave small maps in them too, so predictions decide by a hair
(measured: on a CPU, blocks that are predicted to gain less are as often slower as faster). It counts as far as the maps
between the block's layers fit into caches: what fusing saves of larger ones is certain."""

PARTITIONS = (Partition.ROWS, Partition.CHANNELS)
"""In the order of the third axis of `Corrected.seconds`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of the predictions: a range (its last layer and how many layers come before it) and how it is cut."""

    last: int
    depth: int
    partition: int
    cores: int
    step: int

    @property
    def first(self) -> int:
        """The first layer."""
        return self.last - self.depth

    @property
    def entry(self) -> tuple[int, int, int, int, int]:
        """The index into `Corrected.seconds`."""
        return self.last, self.depth, self.partition, self.cores, self.step


class Corrected:
    """Predicted seconds of all ranges and ways to cut them: of closed forms, corrected by exact evaluations.

    `seconds` has axes last layer, layers before it, partition, core count, step. `evaluations` counts the blocks that
    the cost model was asked for, those with equal structure once; it does not pass `budget`. `least_alone_ratio` is
    the least time by the cost model over the closed form's, of all layers alone that were checked; at most 1.
    """

    def __init__(
        self, problem: Problem, known: Facts, tables: Tables, counts: tuple[int, ...], seconds: Floats, budget: int
    ) -> None:
        self.problem, self.tables, self.counts, self.seconds = problem, tables, counts, seconds
        self.evaluations, self.budget = 0, budget
        self.least_alone_ratio = 1.0
        self._alone_scale: dict[int, float] = {}
        self._signatures = layer_signatures(problem.network, problem.chosen_algorithms)
        self._last_reader = known.last_reader.tolist()
        self._images = known.images
        self._doubt = fusion_doubt(problem.machine, known, seconds.shape[1])
        self._exact: dict[Hashable, float] = {}
        self._checked: dict[tuple[int, int], dict[Choice, float]] = {}

    def block(self, choice: Choice, reason: str = "") -> Block:
        """The choice as a block of a plan."""
        height = self.problem.network.shape(self.problem.network.layers[choice.last].output)[2]
        cores = self.counts[choice.cores]
        ratio = float(self.tables.tallest[choice.last, choice.depth])
        step = self.tables.steps[choice.step]
        whole = step == 0 or (choice.partition == 0 and step * cores >= self._images * height) or step >= height
        rows = max(1, round((height if whole else step) * ratio))
        named = self.problem.algorithms_of(choice.first, choice.last)
        return Block(choice.first, choice.last, cores, PARTITIONS[choice.partition], rows, named, reason)

    def best(self, last: int, depth: int) -> Choice:
        """The way to cut a range with the least predicted time."""
        index = int(self.seconds[last, depth].argmin())
        partition, cores, step = np.unravel_index(index, self.seconds.shape[2:])
        return Choice(last, depth, int(partition), int(cores), int(step))

    def cover(self) -> list[Choice]:
        """The blocks with the least sum of predicted times, in doubt layers alone; the longer last block on a tie."""
        count, longest = self.seconds.shape[:2]
        ranges = (self.seconds.reshape(count, longest, -1).min(axis=2) * (1 + self._doubt)).tolist()
        total = [0.0]
        taken = []
        for last, of_last in enumerate(ranges):
            least, depth = min((total[last - d] + of_last[d], -d) for d in range(min(longest, last + 1)))
            total.append(least)
            taken.append(-depth)
        chosen = []
        last = count - 1
        while last >= 0:
            chosen.append(self.best(last, taken[last]))
            last -= taken[last] + 1
        return chosen[::-1]

    def check(self, choice: Choice) -> bool:
        """Correct the choice's prediction by the exact row arithmetic and the cost model; False if it is illegal.

        The ways to cut the range that were not checked are scaled alike: what closed forms miss, they miss in all.
        """
        checked = self._checked.setdefault((choice.last, choice.depth), {})
        if choice in checked:
            return bool(np.isfinite(checked[choice]))
        exact = checked[choice] = self._evaluate(choice)
        if np.isfinite(exact):
            ratio = exact / float(self.seconds[choice.entry])
            if choice.depth == 0:
                self._alone_scale[choice.last] = self._alone_scale.get(choice.last, 1.0) * ratio
                self.least_alone_ratio = min(self.least_alone_ratio, self._alone_scale[choice.last])
            self.seconds[choice.last, choice.depth] *= ratio
        for known, seconds in checked.items():
            self.seconds[known.entry] = seconds
        return bool(np.isfinite(exact))

    def is_checked(self, choice: Choice) -> bool:
        """Whether the choice's prediction is the cost model's."""
        return choice in self._checked.get((choice.last, choice.depth), {})

    def can_check(self, choice: Choice) -> bool:
        """Whether the budget, or an evaluation of an equal block, allows to check the choice."""
        return self.evaluations < self.budget or self._key(choice) in self._exact

    def _evaluate(self, choice: Choice) -> float:
        """Seconds by the cost model, infinite if the block is illegal."""
        key = self._key(choice)
        if key not in self._exact:
            self.evaluations += 1
            self._exact[key] = predict(self.problem, self.block(choice))
        return self._exact[key]

    def _key(self, choice: Choice) -> Hashable:
        """Equal for blocks of equal structure."""
        layers = range(choice.first, choice.last + 1)
        leaves = tuple(self._last_reader[index] > choice.last for index in layers)
        return (
            self._signatures[choice.first : choice.last + 1],
            leaves,
            choice.partition,
            choice.cores,
            choice.step,
        )

    def drop_unchecked(self) -> None:
        """Leave fused blocks only where they are known to be legal; layers alone always are."""
        self.seconds[:, 1:] = np.inf
        for checked in self._checked.values():
            for choice, seconds in checked.items():
                self.seconds[choice.entry] = seconds


def fusion_doubt(machine: Machine, known: Facts, longest: int) -> Floats:
    """The share that each range must gain to be fused; axes last layer, layers before it.

    That is `FUSION_DOUBT` times the share of maps between the range's layers that fit into the caches.
    """
    count = len(known.reads)
    doubt = np.zeros((count, longest))
    if isinstance(machine, Cpu):
        map_bytes = known.images * known.heights[:count] * known.row_bytes[:count]
        fitting = np.concatenate([[0], np.cumsum(map_bytes <= CpuRates.of(machine).l3_bytes)])
        for depth in range(1, min(longest, count)):
            doubt[depth:, depth] = FUSION_DOUBT * (fitting[depth:count] - fitting[: count - depth]) / depth
    return doubt


def predict(problem: Problem, block: Block) -> float:
    """Seconds of a block by the problem's cost model, infinite if it is illegal."""
    if problems(problem.network, block, problem.limits):
        return float("inf")
    return problem.cost.block(problem.network, schedule(problem.network, block)).seconds


def cut_reason(apart_seconds: float, merged_seconds: float) -> str:
    """Why a cover cuts between two blocks: predicted times of both together, and of all as one block.

    One block may be predicted to be faster and still not be taken: it must gain `FUSION_DOUBT`.
    """
    apart, merged = apart_seconds * 1e6, merged_seconds * 1e6
    reason = f"repair: {apart:.1f} us with this cut, {merged:.1f} us as one block with the next"
    if merged < apart:
        reason += (
            f", which gains less than the {FUSION_DOUBT * 100:.0f} % that fusing must gain where caches hold the maps"
        )
    return reason


def layer_signatures(network: Network, algorithms: tuple[str, ...]) -> tuple[int, ...]:
    """A number for each layer, equal for layers of equal work by one algorithm that read equally distant layers."""
    numbers: dict[Hashable, int] = {}
    found = []
    for layer in network.layers:
        reads = tuple(
            (layer.index - network.producer.get(read.value, -1), read.rows, network.shape(read.value))
            for read in layer.reads
        )
        key = (kind(layer), layer.features, reads, algorithms[layer.index])
        found.append(numbers.setdefault(key, len(numbers)))
    return tuple(found)


def repair(choices: Corrected) -> list[Choice]:
    """The cover of least predicted time whose blocks have all been checked."""
    while True:
        cover = choices.cover()
        unchecked = [choice for choice in cover if not choices.is_checked(choice)]
        if not unchecked:
            return cover
        possible = [choice for choice in unchecked if choices.can_check(choice)]
        if not possible:
            choices.drop_unchecked()
            return choices.cover()
        for choice in possible:
            if choices.can_check(choice):
                choices.check(choice)
