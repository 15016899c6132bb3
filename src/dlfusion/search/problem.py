"""What a strategy is given: all that it may know."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dlfusion.cost.model import CostModel
from dlfusion.cost.profile import Profile
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.machine import Machine
from dlfusion.plans.legality import Limits, machine_limits
from dlfusion.plans.plan import Block, Plan


@dataclass(frozen=True)
class Problem:
    """A network to plan for a machine.

    `core_counts` are those of the machine that the user allows, ascending. `cost` predicts the time of blocks: fitted
    from the profile if there is one. `profile` is what characterizing the machine learned, None if nobody did.
    `algorithms` are the target's names of ways to run a layer other than its default; empty where it offers no choice.
    """

    network: Network
    machine: Machine
    core_counts: tuple[int, ...]
    cost: CostModel
    profile: Profile | None = None
    algorithms: tuple[str, ...] = ()

    @property
    def most_cores(self) -> int:
        """The largest core count."""
        return self.core_counts[-1]

    @cached_property
    def limits(self) -> Limits:
        """What a legal block must keep."""
        limits = machine_limits(self.machine)
        return Limits(self.core_counts, limits.on_chip_bytes, limits.element_bytes, self.algorithms)

    @cached_property
    def fewest_rows(self) -> tuple[Mapping[str, int], ...]:
        """For each layer, of each value that it reads, the fewest rows that one of its output rows needs."""
        return tuple(_fewest_rows(self.network, layer) for layer in self.network.layers)

    def plan(self, strategy: str, blocks: tuple[Block, ...]) -> Plan:
        """A plan for this network and machine."""
        return Plan(self.network.graph.digest, self.machine.fingerprint, strategy, blocks)


def _fewest_rows(network: Network, layer: Layer) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for read in layer.reads:
        height = network.shape(read.value)[2]
        spans = (
            min(read.rows.end(row + 1), height) - max(read.rows.first(row), 0)
            for row in range(layer.features.output_height)
        )
        found[read.value] = max(found.get(read.value, 0), min(spans))
    return found
