"""What a strategy is given: all that it may know."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dlfusion.cost.model import CostModel
from dlfusion.cost.profile import Profile
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.machine import Machine
from dlfusion.plans.legality import Limits, machine_limits, offered_algorithms
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.plans.structure import structure

DIRECT = str(Algorithm.DIRECT)


@dataclass(frozen=True)
class Problem:
    """A network to plan for a machine.

    `core_counts` are those of the machine that the user allows, ascending. `cost` predicts the time of blocks: fitted
    from the profile if there is one. `profile` is what characterizing the machine learned, None if nobody did.
    `algorithms` are those that the target offers and the user allows. `preferred` has for each layer the algorithm that
    its blocks shall use; empty where that is to follow from predictions.
    """

    network: Network
    machine: Machine
    core_counts: tuple[int, ...]
    cost: CostModel
    profile: Profile | None = None
    algorithms: tuple[str, ...] = (Algorithm.DIRECT,)
    preferred: tuple[str, ...] = ()

    @property
    def most_cores(self) -> int:
        """The largest core count."""
        return self.core_counts[-1]

    @cached_property
    def limits(self) -> Limits:
        """What a legal block must keep."""
        limits = machine_limits(self.machine, self.algorithms)
        return Limits(self.core_counts, limits.on_chip_bytes, limits.element_bytes, self.algorithms)

    @cached_property
    def algorithm_seconds(self) -> tuple[Mapping[str, float], ...]:
        """For each layer that has a choice the predicted seconds by each algorithm, the direct one first.

        Of the layer alone on one core, all rows in one step. Empty for layers without a choice.
        """
        known: dict[str, Mapping[str, float]] = {}
        found: list[Mapping[str, float]] = []
        for layer in self.network.layers:
            names = offered_algorithms(layer, self.algorithms)
            if len(names) < 2:
                found.append({})
                continue
            digest = structure(self.network, Block(layer.index, layer.index, 1))
            if digest not in known:
                known[digest] = {name: self._alone_seconds(layer, name) for name in names}
            found.append(known[digest])
        return tuple(found)

    @cached_property
    def chosen_algorithms(self) -> tuple[str, ...]:
        """For each layer the algorithm that its blocks use unless they try others.

        The preferred one if any, else the one of least predicted time (the first on a tie), so that strategies differ
        in blocks, cores and steps, and not in kernels.
        """
        if self.preferred:
            return self.preferred
        return tuple(min(seconds, key=seconds.__getitem__, default=DIRECT) for seconds in self.algorithm_seconds)

    def algorithms_of(self, first: int, last: int) -> tuple[tuple[int, str], ...]:
        """What a block of layers first..last names: the chosen algorithms that are not the direct one."""
        chosen = self.chosen_algorithms
        return tuple((index, chosen[index]) for index in range(first, last + 1) if chosen[index] != DIRECT)

    def _alone_seconds(self, layer: Layer, name: str) -> float:
        named = () if name == DIRECT else ((layer.index, name),)
        block = Block(layer.index, layer.index, 1, step_rows=layer.features.output_height, algorithms=named)
        return self.cost.block(self.network, schedule(self.network, block)).seconds

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
