"""What every cost model offers."""

from dataclasses import dataclass
from typing import Protocol

from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Plan
from dlfusion.plans.schedule import Schedule, schedule


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a predicted time; negative for what hides behind another part."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """A block's predicted time, and the parts that it is the sum of."""

    terms: tuple[Term, ...]

    @property
    def seconds(self) -> float:
        """The sum of all parts."""
        return sum(term.seconds for term in self.terms)


class CostModel(Protocol):
    """Predicts the time of blocks on one machine. Blocks add up: a plan takes the sum of its blocks."""

    @property
    def name(self) -> str:
        """`analytic` or `fitted`, with the version of the formulas: predictions of two versions are not compared."""
        ...

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the model takes for granted, one sentence each."""
        ...

    def block(self, network: Network, cut: Schedule) -> Cost:
        """The predicted time of one run of a legal block."""
        ...


def plan_seconds(network: Network, plan: Plan, model: CostModel) -> float:
    """Predicted seconds of one run of a legal plan."""
    return sum(model.block(network, schedule(network, block)).seconds for block in plan.blocks)
