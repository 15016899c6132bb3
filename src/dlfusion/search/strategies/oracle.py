"""Reduced brute force: every legal block up to some length is measured, and the best cover is computed exactly."""

from collections.abc import Iterable
from dataclasses import dataclass

from dlfusion.search.choices import Choices, with_reasons
from dlfusion.search.dynamic import Option, best_cover
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import MeasuringStrategy, Search, TimeBlocks, layer_count

DEFAULT_LONGEST = 8
"""The most layers to a block unless the name says another number."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """The strategy `oracle`; `longest` is the most layers to a block. `choices.REDUCTION` states what is left out."""

    longest: int = DEFAULT_LONGEST

    @property
    def default_budget_seconds(self) -> None:
        """Brute force takes what it needs."""
        return

    def search(self, problem: Problem) -> Search:
        """Asks for all blocks, short ones first; no cover by these blocks has a smaller sum of measured times.

        If the budget is spent before, the lengths that were measured in full by then count; if it is not even enough
        for every layer alone, predicted times decide.
        """
        choices = Choices(problem, self.longest)
        best: dict[tuple[int, int], Option] = {}
        for length in range(1, min(self.longest, len(problem.network.layers)) + 1):
            blocks = tuple(block for place in choices.ranges(length) for block in choices.of(*place))
            if not blocks:
                continue
            seconds = yield TimeBlocks(blocks)
            if seconds is None:
                break
            _collect(best, zip(seconds, blocks, strict=True))
        word = "measured"
        if not best:
            word, predictions = "predicted", Predictions(problem)
            alone = [block for place in choices.ranges(1) for block in choices.of(*place)]
            _collect(best, ((predictions.block(block), block) for block in alone))
        cover = best_cover(len(problem.network.layers), lambda first, last: best.get((first, last)))
        return problem.plan(
            f"oracle:{self.longest}", with_reasons(cover, lambda first, last: best.get((first, last)), word)
        )


def _collect(best: dict[tuple[int, int], Option], options: Iterable[Option]) -> None:
    """Keep for each range the fastest block, of equals the first."""
    for seconds, block in options:
        place = (block.first, block.last)
        if place not in best or seconds < best[place][0]:
            best[place] = (seconds, block)


def create(argument: str | None) -> MeasuringStrategy:
    """The strategy; `argument` is the most layers to a block.

    Raises:
        PlanError: the argument is no positive whole number.
    """
    return Oracle() if argument is None else Oracle(layer_count("oracle", argument, "the most layers to a block", 6))
