"""The joint strategy: cores and fusion decided together from what characterizing the machine learned, in milliseconds.

The paper's, by its abstract: the two features that decide, operation count and channel size; the best core count as a
function of both, learned from synthesized layers; the critical operation count per core; and one walk over the layers
that decides both knobs together. Ours: how a block's features follow from its layers', the rule that weighs
recomputation against traffic, the step and the partition, and the repair, which looks at all short ranges of layers in
closed form and may replace the walk's blocks. `dlfusion:walk` leaves the repair out.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.fitted import Fitted
from dlfusion.cost.profile import Profile
from dlfusion.errors import PlanError
from dlfusion.plans.plan import Block, Plan
from dlfusion.search.blocks import single
from dlfusion.search.choices import few_core_counts
from dlfusion.search.joint_repair import Choice, Corrected, cut_reason, predict, repair
from dlfusion.search.joint_rows import Facts, Flags, Floats, Tables, facts, tabulate
from dlfusion.search.joint_times import Pace
from dlfusion.search.joint_walk import Cut, Walk
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Strategy

LONGEST = 12
"""The most layers of a block."""

EVALUATIONS = 64
"""Blocks of different structure that the repair may ask the cost model about."""


@dataclass(frozen=True, slots=True)
class DLFusion:
    """The strategy `dlfusion`; `walk_only` leaves the repair out."""

    walk_only: bool = False

    def plan(self, problem: Problem) -> Plan:
        """The walk's blocks, repaired; never predicted to be slower than every layer alone on one core or on all.

        Raises:
            PlanError: the machine has not been characterized, or is of a kind that there are no formulas for.
        """
        if problem.profile is None:
            raise PlanError(
                f"The strategy `dlfusion` plans from a profile, and there is none of {problem.machine.name}: run "
                "`dlfusion characterize`, or choose a strategy that needs none, such as `dp`."
            )
        decision = _Decision(problem, problem.profile)
        if not decision.can_cover():
            # Some layer cannot be cut over any core count: the error that `single` raises names it.
            return problem.plan("dlfusion", decision.alone(problem.most_cores))
        return decision.walked() if self.walk_only else decision.repaired()


class _Decision:
    """One problem with its tables."""

    def __init__(self, problem: Problem, profile: Profile) -> None:
        self.problem = problem
        network = problem.network
        self.counts = few_core_counts(problem)
        algorithms = problem.algorithms_of(0, len(network.layers) - 1)
        self.facts: Facts = facts(network, problem.machine.element_bytes, algorithms)
        self.pace = Pace(problem.machine, network, profile.cost, algorithms)
        limit = problem.limits.on_chip_bytes
        self.tables: Tables = tabulate(self.facts, self.counts, LONGEST, self.pace.layer_seconds, limit)
        self.seconds = self._predictions(limit)
        fits: Flags = np.asarray(np.isfinite(self.seconds).any(axis=(2, 4)))
        self.walk = Walk(network, profile, self.facts, self.tables, self.counts, fits, self.pace)

    def _predictions(self, limit: int | None) -> Floats:
        """Seconds of all ranges by partition, core count and step; infinite where they cannot be blocks."""
        tables = self.tables
        by_rows = self.pace.rows(self.facts, tables, self.counts)
        by_rows[~tables.legal] = np.inf
        if limit is not None:
            by_rows[:, 1:][tables.held_bytes[:, 1:] > limit] = np.inf
        seconds = np.full((*by_rows.shape[:2], 2, *by_rows.shape[2:]), np.inf)
        seconds[:, :, 0] = by_rows
        seconds[:, :1, 1] = self.pace.channels(self.facts, self.counts, tables.steps)
        return seconds

    def can_cover(self) -> bool:
        """Whether every layer can be a block of its own."""
        return bool(np.isfinite(self.seconds[:, 0]).any(axis=(1, 2, 3)).all())

    def walked(self) -> Plan:
        """The walk's blocks, each with its predicted best step; one that turns out illegal is taken apart."""
        choices = Corrected(self.problem, self.facts, self.tables, self.counts, self.seconds, 0)
        blocks: list[Block] = []
        for cut in self.walk.cuts():
            blocks += self._walked_block(choices, cut)
        return self.problem.plan("dlfusion:walk", tuple(blocks))

    def _walked_block(self, choices: Corrected, cut: Cut) -> list[Block]:
        depth = cut.last - cut.first
        here = choices.seconds[cut.last, depth]
        while np.isfinite(here).any():
            at_cores = here[:, self.counts.index(cut.cores)]
            index = int(at_cores.argmin())
            if not np.isfinite(at_cores.flat[index]):
                break
            partition, step = divmod(index, at_cores.shape[1])
            choice = Choice(cut.last, depth, partition, self.counts.index(cut.cores), step)
            block = choices.block(choice, cut.reason)
            if np.isfinite(predict(self.problem, block)):
                return [block]
            choices.seconds[choice.entry] = np.inf
        return [
            single(self.problem, index, cut.cores, f"layers {cut.first} to {cut.last} do not fit together")
            for index in range(cut.first, cut.last + 1)
        ]

    def repaired(self) -> Plan:
        """The repair's blocks, or the plans that they must not be slower than."""
        cuts = self.walk.cuts()
        choices = Corrected(self.problem, self.facts, self.tables, self.counts, self.seconds.copy(), EVALUATIONS)
        cover = repair(choices)
        seconds = sum(float(choices.seconds[choice.entry]) for choice in cover)
        blocks = tuple(self._explained(choices, cover, cuts))
        predictions = Predictions(self.problem)
        for cores in dict.fromkeys((self.counts[0], self.counts[-1])):
            if self._is_clearly_slower(cores, choices.least_alone_ratio, seconds):
                continue
            alone = self.alone(cores, predictions)
            of_alone = sum(predictions.block(block) for block in alone)
            if of_alone < seconds:
                blocks, seconds = alone, of_alone
        return self.problem.plan("dlfusion", blocks)

    def _is_clearly_slower(self, cores: int, least_ratio: float, seconds: float) -> bool:
        """Whether every layer alone is slower, even if its closed form is off by as much as for any checked layer.

        That says something only of the models whose formulas the closed forms are.
        """
        known = isinstance(self.problem.cost, Analytic | Fitted)
        return known and self._alone_seconds(cores) * least_ratio > seconds

    def _alone_seconds(self, cores: int) -> float:
        """Closed-form prediction of every layer alone, on this core count where it can be cut so finely."""
        i = self.counts.index(cores)
        least = self.seconds[:, 0].min(axis=(1, 3))
        on_count = np.where(np.isfinite(least[:, i]), least[:, i], least.min(axis=1))
        return float(on_count.sum())

    def alone(self, cores: int, predictions: Predictions | None = None) -> tuple[Block, ...]:
        """Every layer alone."""
        reason = f"predicted shorter than any fused plan: every layer alone on up to {cores} cores"
        layers = range(len(self.problem.network.layers))
        return tuple(single(self.problem, index, cores, reason, predictions) for index in layers)

    def _explained(self, choices: Corrected, cover: list[Choice], cuts: tuple[Cut, ...]) -> list[Block]:
        """The blocks with the rule that closed each: the walk's where it cut there too, else the repair's numbers."""
        walked = {cut.last: cut for cut in cuts}
        blocks = []
        for choice, following in pairwise(cover):
            cut = walked.get(choice.last)
            if cut is None:
                reason = self._gain(choices, choice, following)
            elif cut.first == choice.first:
                reason = cut.reason
            else:
                reason = f"the walk, in its block from layer {cut.first} on: {cut.reason}"
            blocks.append(choices.block(choice, reason))
        return [*blocks, choices.block(cover[-1], "last layer of the network")]

    def _gain(self, choices: Corrected, choice: Choice, following: Choice) -> str:
        """Why the repair cut where the walk did not."""
        apart = float(choices.seconds[choice.entry] + choices.seconds[following.entry])
        depth = following.last - choice.first
        merged = np.inf
        if depth < choices.seconds.shape[1]:
            merged = float(choices.seconds[following.last, depth].min())
        if not np.isfinite(merged):
            return f"repair: layers {choice.first} to {following.last} cannot be one block"
        return cut_reason(apart, merged)


def create(argument: str | None) -> Strategy:
    """The strategy; `walk` leaves the repair out.

    Raises:
        PlanError: another argument.
    """
    if argument not in (None, "walk"):
        raise PlanError(f"`dlfusion:{argument}` is of no use; the only argument is `walk`, as in `dlfusion:walk`.")
    return DLFusion(argument == "walk")
