"""Every layer alone on all cores: what inference engines do."""

from dataclasses import dataclass

from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.plan import Plan
from dlfusion.search.blocks import runs, single
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class AllCores:
    """The strategy `all-cores`."""

    def plan(self, network: Network, machine: Machine, cores: int) -> Plan:
        """One block per layer, each on as many of the cores as it can be cut over."""
        blocks = tuple(single(network, first, cores, reason) for first, _, reason in runs(network, 1))
        return Plan(network.graph.digest, machine.fingerprint, "all-cores", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("all-cores", argument)
    return AllCores()
