"""Predicts a block's time by the analytic parts, each scaled by what characterizing the machine found."""

from dataclasses import dataclass, field
from functools import cached_property

from dlfusion.cost.analytic import VERSION, Analytic
from dlfusion.cost.model import Cost
from dlfusion.cost.profile import CostFit
from dlfusion.cost.terms import total
from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plans.schedule import Schedule


@dataclass(frozen=True)
class Fitted:
    """The cost model of a machine that has been characterized; parts without a factor keep their analytic value."""

    machine: Machine
    fit: CostFit
    _analytic: Analytic = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_analytic", Analytic(self.machine))

    @property
    def name(self) -> str:
        """`fitted` with the version of the formulas that are scaled."""
        return f"fitted {VERSION}"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Those of the parts, which the factors correct on average only."""
        scaled = "Each part is off by one factor in all blocks, which the samples of the profile give."
        return (*self._analytic.assumptions, scaled)

    @cached_property
    def _factors(self) -> dict[str, float]:
        return self.fit.scales

    def block(self, network: Network, cut: Schedule) -> Cost:
        """The predicted time of one run of a legal block."""
        return total(self._analytic.parts(network, cut), self._factors, self.fit.overlap)
