"""As few blocks as legality allows: the far end from layer by layer."""

from dataclasses import dataclass

from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.plan import Plan
from dlfusion.search.blocks import fused, runs
from dlfusion.search.strategy import Strategy, refuse_argument


@dataclass(frozen=True, slots=True)
class FuseAll:
    """The strategy `fuse-all`."""

    def plan(self, network: Network, machine: Machine, cores: int) -> Plan:
        """Blocks end only at layers that must stand alone; each block uses all cores that its rows allow."""
        blocks = tuple(fused(network, machine, *run[:2], cores, run[2]) for run in runs(network))
        return Plan(network.graph.digest, machine.fingerprint, "fuse-all", blocks)


def create(argument: str | None) -> Strategy:
    """The strategy; it takes no argument."""
    refuse_argument("fuse-all", argument)
    return FuseAll()
