"""Predicts a block's time from operations, bytes and starts: for comparing plans before anything is measured.

The formulas stand in `cpu_terms.py` and `accelerator_terms.py`, one file for each sort of machine.
"""

from dataclasses import dataclass, field

from dlfusion.cost import accelerator_terms, cpu_terms
from dlfusion.cost.layer_numbers import NetworkNumbers
from dlfusion.cost.model import Cost
from dlfusion.cost.terms import total
from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.machine import Machine
from dlfusion.plans.schedule import Schedule

VERSION = 4
"""Raised whenever a prediction changes, so that stored predictions are not mixed."""

_MOST_NETWORKS = 16
"""How many networks' layers are remembered before all are forgotten."""


@dataclass(frozen=True)
class Analytic:
    """The cost model of a machine that needs its numbers only.

    Raises TypeError where it is used with a machine that is neither a `Cpu` nor an `Accelerator`.
    """

    machine: Machine
    _networks: dict[int, tuple[Network, NetworkNumbers]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """`analytic` with the version of the formulas."""
        return f"analytic {VERSION}"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the formulas of this sort of machine take for granted."""
        return cpu_terms.ASSUMPTIONS if isinstance(self.machine, Cpu) else accelerator_terms.ASSUMPTIONS

    @property
    def overlap(self) -> float:
        """The share of the shorter of arithmetic and transfers that is taken to go on beside the longer."""
        return cpu_terms.OVERLAP if isinstance(self.machine, Cpu) else accelerator_terms.OVERLAP

    def parts(self, network: Network, cut: Schedule) -> dict[str, float]:
        """Seconds of each part of a legal block's time by its name in `cost.terms`, those of zero left out.

        What is hidden is not among them: `cost.terms.total` adds the parts up.
        """
        numbers = self._numbers(network).of_block(cut.block)
        match self.machine:
            case Cpu() as cpu:
                found = cpu_terms.cpu_parts(cpu, network, cut, numbers)
            case Accelerator() as accelerator:
                found = accelerator_terms.accelerator_parts(accelerator, network, cut, numbers)
            case other:
                raise _no_formulas(other)
        return {name: seconds for name, seconds in found.items() if seconds}

    def block(self, network: Network, cut: Schedule) -> Cost:
        """The predicted time of one run of a legal block."""
        return total(self.parts(network, cut), {}, self.overlap)

    def _numbers(self, network: Network) -> NetworkNumbers:
        """What the formulas need of a network's layers.

        Remembered by identity: comparing networks would compare all their weights.
        """
        known = self._networks.get(id(network))
        if known is not None:
            return known[1]
        match self.machine:
            case Cpu() as cpu:
                numbers = cpu_terms.cpu_numbers(cpu, network)
            case Accelerator() as accelerator:
                numbers = accelerator_terms.accelerator_numbers(accelerator, network)
            case other:
                raise _no_formulas(other)
        if len(self._networks) >= _MOST_NETWORKS:
            self._networks.clear()
        self._networks[id(network)] = network, numbers
        return numbers


def _no_formulas(machine: Machine) -> TypeError:
    return TypeError(f"there are no cost formulas for a machine of type {type(machine).__name__}")
