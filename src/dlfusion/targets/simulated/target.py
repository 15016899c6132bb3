"""An accelerator that is simulated as a target: plans are played tile by tile instead of run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dlfusion.errors import PlanError
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.plans.legality import machine_limits, problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.structure import structure
from dlfusion.runtime.measure import Setting
from dlfusion.targets.simulated.simulator import VERSION, Simulator
from dlfusion.targets.target import PlanTimes


class SimulatedTarget:
    """A machine file's accelerator under the name that users call it. Times are the simulator's, never a device's."""

    def __init__(self, name: str, accelerator: Accelerator) -> None:
        self._name = name
        self._accelerator = accelerator
        self._seconds: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The name by which users call it."""
        return self._name

    @property
    def machine(self) -> Accelerator:
        """The device as numbers."""
        return self._accelerator

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Only the direct method."""
        return (Algorithm.DIRECT,)

    @property
    def simulated(self) -> bool:
        """No device is involved."""
        return True

    @property
    def setting(self) -> Setting:
        """The machine's numbers and the simulator's version."""
        return Setting(self._accelerator.fingerprint, library=f"simulator {VERSION}")

    @contextmanager
    def bench(self, network: Network) -> Iterator["SimulatedBench"]:
        """The network, with the times of blocks that this target has simulated before, in whatever network."""
        yield SimulatedBench(network, self._accelerator, self._seconds)


class SimulatedBench:
    """One network on a simulated machine."""

    def __init__(self, network: Network, accelerator: Accelerator, known: dict[str, float]) -> None:
        """`known` has the seconds of blocks by their structure; what is simulated is added to it."""
        self._network = network
        self._limits = machine_limits(accelerator)
        self._simulator = Simulator(network, accelerator)
        self._known = known
        self._of_blocks: dict[Block, float] = {}

    def structure(self, block: Block) -> str:
        """A digest of all that the block's time depends on."""
        return structure(self._network, block)

    def time_plans(self, plans: Sequence[Plan], seconds: float) -> tuple[PlanTimes, ...]:
        """Simulates each plan once: a second run would take the same time, so `seconds` is of no use.

        A run of a plan takes as long as its blocks, one after the other.

        Raises:
            PlanError: a block is illegal on the machine.
        """
        times = []
        for plan in plans:
            blocks = [self.block_seconds(block) for block in plan.blocks]
            times.append(PlanTimes((sum(blocks),), tuple((sample,) for sample in blocks)))
        return tuple(times)

    def block_seconds(self, block: Block) -> float:
        """How long one run of a block takes.

        Raises:
            PlanError: the block is illegal on the machine.
        """
        plain = replace(block, reason="")
        if plain not in self._of_blocks:
            found = problems(self._network, plain, self._limits)
            if found:
                raise PlanError(f"A block that is to be simulated cannot be run: {'; '.join(found)}.")
            digest = self.structure(plain)
            if digest not in self._known:
                self._known[digest] = self._simulator.simulate(plain).seconds
            self._of_blocks[plain] = self._known[digest]
        return self._of_blocks[plain]
