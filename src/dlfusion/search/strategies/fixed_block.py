"""Every k layers one block, on one number of cores: both chosen by predicted time, or k given (`fixed-block:3`)."""

from dataclasses import dataclass

from dlfusion.cost.roofline import plan_seconds
from dlfusion.errors import PlanError
from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.plan import Plan
from dlfusion.search.blocks import fused, runs
from dlfusion.search.strategy import Strategy

LONGEST = 8
"""Block lengths that are tried if none is given: 1 (no fusion) up to this."""


@dataclass(frozen=True, slots=True)
class FixedBlock:
    """The strategy `fixed-block`; `length` is the layers per block, None to choose it."""

    length: int | None = None

    def plan(self, network: Network, machine: Machine, cores: int) -> Plan:
        """The predicted best of all lengths and of one core or all; the shortest blocks and fewest cores on a tie."""
        lengths = range(1, LONGEST + 1) if self.length is None else (self.length,)
        plans = [_plan(network, machine, length, count) for length in lengths for count in sorted({1, cores})]
        return min(plans, key=lambda plan: plan_seconds(network, plan, machine))


def _plan(network: Network, machine: Machine, length: int, cores: int) -> Plan:
    blocks = tuple(fused(network, machine, *run[:2], cores, run[2]) for run in runs(network, length))
    return Plan(network.graph.digest, machine.fingerprint, f"fixed-block:{length}", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; `argument` is the number of layers per block.

    Raises:
        PlanError: the argument is no positive whole number.
    """
    if argument is None:
        return FixedBlock()
    if not argument.isdecimal() or int(argument) < 1:
        raise PlanError(
            f"`fixed-block:{argument}` needs a number of layers per block of 1 or more, as `fixed-block:3`."
        )
    return FixedBlock(int(argument))
