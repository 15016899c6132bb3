"""Every layer alone on one core: what all other plans are compared with."""

from dataclasses import dataclass

from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.plan import Plan
from dlfusion.search.blocks import runs, single
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class Baseline:
    """The strategy `baseline`."""

    def plan(self, network: Network, machine: Machine, cores: int) -> Plan:
        """One block per layer, one core each."""
        blocks = tuple(single(network, first, 1, reason) for first, _, reason in runs(network, 1))
        return Plan(network.graph.digest, machine.fingerprint, "baseline", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("baseline", argument)
    return Baseline()
