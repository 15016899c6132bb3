"""Every layer alone, each on its own core count: the one of least predicted time."""

from dataclasses import dataclass, replace

from dlfusion.plans.plan import Block, Plan
from dlfusion.search.blocks import runs, single
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class LayerCores:
    """The strategy `layer-cores`."""

    def plan(self, problem: Problem) -> Plan:
        """One block per layer, each on its own predicted best core count, the fewest on a tie."""
        predictions = Predictions(problem)
        ranges = runs(problem, problem.most_cores, 1)
        return problem.plan("layer-cores", tuple(_best(problem, first, predictions) for first, _, _ in ranges))


def _best(problem: Problem, index: int, predictions: Predictions) -> Block:
    blocks = [single(problem, index, count, "", predictions) for count in problem.core_counts]
    best = min(blocks, key=lambda block: (predictions.block(block), block.cores))
    times = {block.cores: predictions.block(block) for block in blocks}
    fewest, most = min(times), max(times)
    reason = f"layers alone; {best.cores} cores are predicted to take {times[best.cores] * 1e6:.1f} us"
    others = [f"{times[count] * 1e6:.1f} us on {count}" for count in {fewest: 0, most: 0} if count != best.cores]
    return replace(best, reason=", ".join([reason, *others]))


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("layer-cores", argument)
    return LayerCores()
