"""A CPU of another architecture as a target: programs are planned and built for it here, and measured nowhere."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

from dlfusion.errors import InputError
from dlfusion.layers.layer import Network
from dlfusion.machine.architecture import host_architecture
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.host import usable_cores
from dlfusion.runtime.cache import Cache, open_cache
from dlfusion.runtime.measure import Setting
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.measuring import build_setting
from dlfusion.targets.cpu.target import ALGORITHMS


@dataclass(frozen=True)
class ForeignCpu:
    """The target that an instruction set of other processors names.

    Nothing is known of the machine but its instruction set and, from users, its number of cores: the cost model takes
    for caches and rates what it takes where they are not stated. A profile or plan that was made there knows more.
    """

    isa: Isa
    machine: Cpu
    cache: Cache | None = None

    @staticmethod
    def unknown(isa: Isa, cores: int | None = None, cache: Cache | None = None) -> "ForeignCpu":
        """A machine of so many cores, as many as this process may use if not given, of which no more is known."""
        name = f"any {isa.architecture} processor"
        return ForeignCpu(isa, Cpu(name, cores or usable_cores(), (isa.name,)), cache)

    def described(self, fingerprint: str) -> "ForeignCpu":
        """The machine that a fingerprint in a profile or plan describes; this one if it lacks the instruction set."""
        found = Cpu.from_fingerprint(fingerprint)
        return self if found is None or self.isa.name not in found.isas else replace(self, machine=found)

    def with_cores(self, cores: int) -> "ForeignCpu":
        """The same machine with another number of cores."""
        return replace(self, machine=replace(self.machine, cores=cores))

    @property
    def name(self) -> str:
        """`cpu-aarch64`, for example: what is learned of this machine's CPU does not count for it."""
        return f"cpu-{self.isa.architecture}"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those of every CPU."""
        return ALGORITHMS

    @property
    def simulated(self) -> bool:
        """It is real, though elsewhere."""
        return False

    @cached_property
    def setting(self) -> Setting:
        """The machine, the cross compiler, its flags, and a digest of the kernel library.

        Raises:
            BuildError: there is no cross compiler.
        """
        return build_setting(self.machine, self.isa, open_cache() if self.cache is None else self.cache)

    def bench(self, network: Network) -> NoReturn:
        """Nothing can be measured here.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{network.graph.name} cannot be measured on {self.isa.name}: that is an instruction set of "
            f"{self.isa.architecture}, and this machine is {host_architecture()}. Choose a strategy that predicts, as "
            f"`dp` does, or measure on a machine of {self.isa.architecture} and give its plan (--plan)"
        )
