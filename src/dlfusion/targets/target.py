"""What every target offers to those who measure plans on it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.measure import Setting


@dataclass(frozen=True, slots=True)
class PlanTimes:
    """All samples of one plan, in seconds: of whole runs, and of each block (outer axis) in the same runs."""

    total: tuple[float, ...]
    blocks: tuple[tuple[float, ...], ...]


class Bench(Protocol):
    """One network, made ready for measuring many plans of it."""

    def structure(self, block: Block) -> str:
        """A digest of all that the block's time depends on; equal digests, in any network, mean equal times."""
        ...

    def time_plans(self, plans: Sequence[Plan], seconds: float) -> tuple[PlanTimes, ...]:
        """Runs the plans in turns, each for about `seconds` (on a simulated machine, once)."""
        ...


class Target(Protocol):
    """A machine with what can be done with it."""

    @property
    def name(self) -> str:
        """The name by which users call it, such as `cpu` or `mlu100`."""
        ...

    @property
    def machine(self) -> Machine:
        """The device as numbers."""
        ...

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What it offers to compute a layer by, of the names in `layers/algorithm.py`; the direct method at least."""
        ...

    @property
    def simulated(self) -> bool:
        """True if a simulator stands for the device."""
        ...

    @property
    def setting(self) -> Setting:
        """What measurements depend on beside plan and network: machine, compiler, flags, kernel library."""
        ...

    def bench(self, network: Network) -> AbstractContextManager[Bench]:
        """The network made ready; leaving the context frees all that measuring needed."""
        ...
