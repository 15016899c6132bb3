"""The CPU under this process as a target: plans become programs that run here and are timed."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from dlfusion.errors import InputError, PlanError
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.host import host, usable_cores
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.structure import structure
from dlfusion.runtime.cache import Cache, open_cache
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.measure import Setting, take_turns
from dlfusion.runtime.scratch import scratch_folder
from dlfusion.runtime.toolchain import COMMON_FLAGS, find_compiler
from dlfusion.targets.cpu.isa import ISAS, Isa, choose_isa, require_native
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.plan_programs import load_program, plan_times, write_weights
from dlfusion.targets.cpu.precision import Precision, choose_precision
from dlfusion.targets.cpu.target import ALGORITHMS, check_plan, include_folder, prepare
from dlfusion.targets.target import PlanTimes

_SEED = 0


class CpuTarget:
    """The target `cpu`: this machine, with its best instruction set for the precision unless one is named."""

    def __init__(self, isa: str | None = None, cache: Cache | None = None, precision: str = Precision.FP32) -> None:
        """Programs are compiled for `isa` (`avx512`, `avx2` or `avx512_bf16`), their objects kept in `cache`.

        `precision` is what they may compute in: `fp32` or `bf16`.

        Raises:
            InputError: there is no such instruction set or precision, or this CPU lacks it.
        """
        self._precision = choose_precision(precision)
        self._isa = _instruction_set(isa, self._precision)
        self._cache = cache

    @property
    def name(self) -> str:
        """`cpu`."""
        return "cpu"

    @property
    def machine(self) -> Cpu:
        """The machine under this process, as fast as programs of the target's precision find it."""
        multiplies = self._precision is Precision.BF16 and self._isa.multiplies_bfloat16
        return replace(host(), convolution_speed=host().bfloat16_speed) if multiplies else host()

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Direct, and Winograd's with three sizes of tiles."""
        return ALGORITHMS

    @property
    def simulated(self) -> bool:
        """It is real."""
        return False

    @cached_property
    def setting(self) -> Setting:
        """The machine, the compiler that would be used, its flags, and a digest of the kernel library."""
        return build_setting(host(), self._isa, self._open_cache)

    @contextmanager
    def bench(self, network: Network) -> Iterator["CpuBench"]:
        """The network with its kernels chosen; all files are in one temporary folder, which is removed.

        Raises:
            UnsupportedError: a layer has no kernel for the CPU.
        """
        with tempfile.TemporaryDirectory(prefix="bench-", dir=scratch_folder()) as folder:
            yield CpuBench(network, self._isa, self._open_cache, Path(folder), self._precision)

    @cached_property
    def _open_cache(self) -> Cache:
        return open_cache() if self._cache is None else self._cache


class CpuBench:
    """One network on this machine. Kernels and layouts are the same for all plans, weights if the algorithms are."""

    def __init__(
        self, network: Network, isa: Isa, cache: Cache, folder: Path, precision: Precision = Precision.FP32
    ) -> None:
        """Files are written into `folder`, which the caller removes.

        Raises:
            UnsupportedError: a layer has no kernel for the CPU.
        """
        self._network = network
        self._cache = cache
        self._folder = folder
        self._prepared = prepare(network, isa, (), precision)
        self._built = 0
        random = np.random.default_rng(_SEED)
        self._inputs = tuple(
            random.standard_normal(port.array_shape).astype(np.float32) for port in network.graph.inputs
        )

    def structure(self, block: Block) -> str:
        """A digest of what the plan says of the block and of the kernels and layouts that run it."""
        layers = (self._network.layers[index] for index in block.layers)
        ways = zip(layers, self._prepared.lowering.of(block), strict=True)
        parts = [structure(self._network, block), *(self._lowered(layer, way) for layer, way in ways)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def time_plans(self, plans: Sequence[Plan], seconds: float) -> tuple[PlanTimes, ...]:
        """Builds all plans, then runs them in turns, each for about `seconds`.

        Raises:
            PlanError: a plan breaks a rule, or wants more cores than this process may use, so that its threads would
                wait for each other.
            BuildError: the compiler fails, or the packed weights cannot be written.
        """
        for plan in plans:
            wanted = max((block.cores for block in plan.blocks), default=1)
            if wanted > usable_cores():
                raise PlanError(
                    f"the plan (strategy {plan.strategy}) uses {wanted} cores, but this process may run on "
                    f"{usable_cores()}: measure it with a plan for so many, or give the process more"
                )
            check_plan(self._network, plan)
        self._prepare(plans)
        with ExitStack() as stack:
            programs = [stack.enter_context(self._load(plan)) for plan in plans]
            runs = take_turns([partial(program.profile, *self._inputs) for program in programs], seconds)
        return tuple(plan_times(plan, counted) for plan, counted in zip(plans, runs, strict=True))

    def _prepare(self, plans: Sequence[Plan]) -> None:
        """Packs weights anew if the plans need others than the ones before."""
        prepared = self._prepared.for_plans(self._network, plans)
        if prepared is not self._prepared:
            write_weights(prepared, self._folder)
            self._prepared = prepared

    def _load(self, plan: Plan) -> Executable:
        """The plan's program, in memory; closing it removes its folder."""
        self._built += 1
        return load_program(self._network, plan, self._prepared, self._folder, f"plan-{self._built}", self._cache)

    def _lowered(self, layer: Layer, way: Lowered) -> str:
        """What decides how the CPU runs a layer, inside or outside a block.

        Users' arrays are planar without padding: reading or writing one takes a copy where a tensor of the program
        takes none. All other copies follow from the layouts.
        """
        graph = self._network.graph
        inputs, outputs = {port.value for port in graph.inputs}, [port.value for port in graph.outputs]
        reads = [
            (str(self._prepared.lowering.layouts[read.value]), str(layout), pads.left, pads.right, read.value in inputs)
            for read, layout, pads in zip(layer.reads, way.input_layouts, way.input_pads, strict=True)
        ]
        return f"{way.function} {way.shape} {reads} {way.output_layout} {outputs.count(layer.output)}"


def _instruction_set(name: str | None, precision: Precision) -> Isa:
    """The instruction set of that name, or the best; programs for any can be built, but only some can be run here."""
    chosen, available = choose_isa(name, precision), host().isas
    require_native(chosen)
    if chosen.name not in available:
        runnable = ", ".join(isa for isa in ISAS if isa in available) or "none"
        raise InputError(f"this CPU cannot run {chosen.name}; it has {runnable}")
    return chosen


def build_setting(machine: Cpu, isa: Isa, cache: Cache) -> Setting:
    """The machine, the compiler that builds programs for it, its flags, and a digest of the kernel library.

    Raises:
        BuildError: there is no compiler for that architecture.
    """
    compiler = find_compiler(cache, architecture=isa.architecture).description
    return Setting(machine.fingerprint, compiler, (*COMMON_FLAGS, *isa.flags), library_digest())


def library_digest() -> str:
    """A digest of all files of the kernel library, names included."""
    state = hashlib.sha256()
    for path in sorted(include_folder().iterdir()):
        content = path.read_bytes()
        state.update(f"{path.name} {len(content)}\n".encode())
        state.update(content)
    return state.hexdigest()[:16]
