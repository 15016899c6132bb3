"""Measuring under a time budget: the predicted optimum is measured and corrected until measurements confirm it."""

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dlfusion.plans.plan import Block, Plan
from dlfusion.search.blocks import single
from dlfusion.search.choices import few_core_counts, with_reasons
from dlfusion.search.estimates import Estimates, Layers
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import MeasuringStrategy, Request, Search, TimeBlocks, TimePlans, refuse_argument

LONGEST = 8
"""The most layers to a block, as for the oracle that this strategy is compared with."""

MOST_ROUNDS = 20
"""How often the optimum is corrected by measurements at most."""

NEIGHBOURS_PER_BLOCK = 3
"""How many other ways to run the layers of a block are measured in one round."""

CLOSE = 1.15
"""Another way is worth measuring if its estimate is at most this many times that of the best way."""

MOST_PER_LAYER = 4
"""How many blocks that hold one layer are measured in one round; that many programs the round takes."""

FINALISTS = 3
"""How many of the best plans are measured once more against the two that the promise is about."""

LEAST_DOUBT, UNSTATED_DOUBT, MOST_DOUBT = 0.05, 0.2, 0.5
"""Relative errors that predictions are taken to have: first what the profile states, at least the first number (the
second without a profile); when that promises nothing more and time is left, twice as much each time, up to the last."""

Answer = tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The strategy `tuned`.

    Its plan is the fastest of a last comparison in turns, in which the best unfused plan and the best plan with one
    core count for all blocks take part: it is not slower than these, as far as that comparison can tell.
    """

    @property
    def default_budget_seconds(self) -> float:
        """A minute."""
        return 60.0

    def search(self, problem: Problem) -> Search:
        """Every layer alone first, then blocks where they promise most, then whole plans against each other."""
        return _Search(problem).run()


class _Search:
    """What is known of the problem's blocks, and the questions that follow from it."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._predictions = Predictions(problem)
        self._estimates = Estimates(problem, LONGEST, self._predictions)
        self._times: dict[Layers, float] = {}
        self._over = False
        stated = problem.profile.cost.fit.median_relative_error if problem.profile else UNSTATED_DOUBT
        self._doubt = min(max(stated, LEAST_DOUBT), MOST_DOUBT)

    def run(self) -> Search:
        """The whole search."""
        counts = few_core_counts(self._problem)
        unfused = [self._unfused(count) for count in counts]
        yield from self._compare(unfused, essential=True)
        predicted = self._estimates.best()
        yield from self._measure(self._estimates.alone())
        if not self._over:
            self._prefer_the_fastest_algorithms()
        for _ in range(MOST_ROUNDS):
            wanted = self._promising()
            while not wanted and self._doubt < MOST_DOUBT:
                self._doubt = min(2 * self._doubt, MOST_DOUBT)  # time is left: trust predictions less
                wanted = self._promising()
            if self._over or not wanted:
                break
            yield from self._measure(wanted)
        unfused.append(self._estimates.best(lambda block: block.first == block.last))
        one_count = [*unfused[: len(counts)], *(self._estimates.best_on(count) for count in counts)]
        everything = [self._estimates.best(), predicted, *unfused, *one_count]
        if not self._over:
            yield from self._compare(everything, essential=False)
        finalists = sorted(dict.fromkeys(everything), key=self._seconds)[:FINALISTS]
        finalists += [*self._best_of(unfused), *self._best_of(one_count)]
        yield from self._compare(finalists, essential=True)
        return self._plan(with_reasons(min(finalists, key=self._seconds), self._estimates.option, "as far as measured"))

    # --- questions -----------------------------------------------------------------------------------------------

    def _measure(self, blocks: Layers) -> Generator[Request, Answer, None]:
        """Have blocks measured and learn from them; each structure is asked for once."""
        asked = self._estimates.unmeasured(blocks)
        if not asked or self._over:
            return
        seconds = yield TimeBlocks(asked)
        if seconds is None:
            self._over = True
        else:
            self._estimates.learn(asked, seconds)

    def _compare(self, plans: Iterable[Layers], *, essential: bool) -> Generator[Request, Answer, None]:
        """Have whole plans measured against each other; later comparisons replace earlier ones."""
        distinct = tuple(dict.fromkeys(plans))
        seconds = yield TimePlans(tuple(self._plan(layers) for layers in distinct), essential)
        if seconds is None:
            self._over = True
        else:
            self._times |= dict(zip(distinct, seconds, strict=True))

    def _prefer_the_fastest_algorithms(self) -> None:
        """From here on every block's layers are computed by the algorithm that was fastest when they ran alone."""
        preferred = []
        for index, chosen in enumerate(self._problem.chosen_algorithms):
            fastest = self._estimates.option(index, index)
            preferred.append(chosen if fastest is None else str(fastest[1].algorithm(index)))
        if tuple(preferred) != self._problem.chosen_algorithms:
            self._problem = replace(self._problem, preferred=tuple(preferred))
            self._estimates = self._estimates.of(self._problem)

    def _promising(self) -> Layers:
        """Blocks not measured yet that could be part of the optimum, if predictions err as much as they may.

        Those of the optimum itself; if there are any, also the optimum's blocks joined to the next, other ways to run
        the same layers, and the blocks cut in two.
        """
        cover = self._estimates.best(doubt=self._doubt)
        unknown = self._estimates.unmeasured(cover)
        if not unknown:
            return ()
        wanted = [*unknown]
        for block, following in pairwise(cover):
            if not (self._estimates.is_measured(block) and self._estimates.is_measured(following)):
                wanted += self._hopeful(block.first, following.last)
        for block in unknown:
            wanted += self._close_variants(block)
        for block in unknown:
            for end in range(block.first, block.last):
                wanted += [*self._hopeful(block.first, end), *self._hopeful(end + 1, block.last)]
        return _thinned(self._estimates.unmeasured(wanted))

    def _close_variants(self, block: Block) -> Layers:
        """The best other core counts, steps, partitions and algorithms for the same layers."""
        ranked = sorted(self._estimates.blocks(block.first, block.last), key=self._estimates.seconds)
        limit = CLOSE * self._estimates.seconds(ranked[0])
        return tuple(other for other in ranked if self._estimates.seconds(other) <= limit)[:NEIGHBOURS_PER_BLOCK]

    def _hopeful(self, first: int, last: int) -> Layers:
        option = self._estimates.option(first, last, doubt=self._doubt)
        return () if option is None else (option[1],)

    # --- plans ---------------------------------------------------------------------------------------------------

    def _unfused(self, cores: int) -> Layers:
        """Every layer alone on up to `cores` cores."""
        layers = range(len(self._problem.network.layers))
        return tuple(single(self._problem, index, cores, "", self._predictions) for index in layers)

    def _best_of(self, plans: Sequence[Layers]) -> tuple[Layers, ...]:
        """The best of all plans, which estimates may flatter, and the best of those that were measured as a whole."""
        whole = [layers for layers in plans if layers in self._times]
        return tuple(min(some, key=self._seconds) for some in (plans, whole) if some)

    def _seconds(self, layers: Layers) -> float:
        """Of a whole plan: the last measurement, else the sum of its blocks."""
        measured = self._times.get(layers)
        return self._estimates.sum(layers) if measured is None else measured

    def _plan(self, layers: Layers) -> Plan:
        return self._problem.plan("tuned", layers)


def _thinned(blocks: Layers) -> Layers:
    """The first blocks of those that meet at a layer: each more of them takes another program to measure."""
    used: Counter[int] = Counter()
    kept = []
    for block in blocks:
        if all(used[index] < MOST_PER_LAYER for index in block.layers):
            used.update(block.layers)
            kept.append(block)
    return tuple(kept)


def create(argument: str | None) -> MeasuringStrategy:
    """The strategy; it takes no argument."""
    refuse_argument("tuned", argument)
    return Tuned()
