"""Measures how fast this machine's cores can be at most: arithmetic, every level of memory, the start of a block.

The measurements are a program like that of a model: blocks that do one thing each, on each core count, run and timed by
the runtime that runs models. It is called in turn with models, so that limits and layers meet the same machine.
"""

import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from dlfusion.codegen.writer import Writer
from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.machine.cpu import DEFAULT_L2_BYTES, Cpu
from dlfusion.machine.rates import Level, Rates
from dlfusion.runtime.build import build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.program import Program, Unit, read_headers, runtime_unit, weights_digest
from dlfusion.runtime.scratch import scratch_folder
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.target import include_folder

ROUNDS = 40_000
"""Of the loop of multiply-adds: about 0.2 ms."""

WAYS = ("read", "write")

REPEATS = 5
"""Samples of the short blocks in each run: all cores must be undisturbed in one of them."""

PEAK_SUMS = {16: 24, 8: 12, 4: 24}
"""Vectors of sums in a round, by the lanes of a vector: enough to hide the latency of additions, few enough for the
registers."""

CACHE_BYTES = 16 << 20
"""Read from a cache, or written to it, in one sample: with the fastest, about 0.1 ms."""

MEMORY_BYTES = 32 << 20
"""Read from main memory, or written to it, in one sample: a few milliseconds."""

MOST_BYTES = 1 << 30
"""That the program works on, however large the third-level cache is said to be."""

DEFAULT_L1_BYTES = 32 << 10
DEFAULT_L3_BYTES = 64 << 20
"""Where the system does not state the caches."""

_VECTOR_GROUP_BYTES = 1024
"""`read` of peak.hpp goes through memory in such pieces."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One block of the program: what it measures (None: nothing, it prepares), and how much of it each core does."""

    cores: int
    function: str
    what: str | None = None
    amount: float = 0.0


def subjects(machine: Cpu, isa: Isa, core_counts: Sequence[int]) -> tuple[Subject, ...]:
    """The program's blocks in order, for each core count: `what` is `start`, `operations`, `read L1`, `write L1`..."""
    region = region_bytes(machine)
    found = [Subject(1, f"take_memory<{region // FLOAT_BYTES}>")]
    for cores in core_counts:
        part = region // cores // _VECTOR_GROUP_BYTES * _VECTOR_GROUP_BYTES // FLOAT_BYTES
        sums = PEAK_SUMS[isa.lanes]
        operations = 2.0 * ROUNDS * sums * isa.lanes
        found.append(Subject(cores, "do_nothing"))  # wakes workers that went to sleep, as a model's first block does
        found += [Subject(cores, "do_nothing", "start")] * REPEATS
        found += [Subject(cores, f"multiply_adds<{ROUNDS}, {sums}>", "operations", operations)] * REPEATS
        for level, size in cache_sizes(machine).items():
            passes = max(2, CACHE_BYTES // size)
            found.append(Subject(cores, f"read_cache<{part}, {size // FLOAT_BYTES}, 1>"))
            for way in WAYS:
                function = f"{way}_cache<{part}, {size // FLOAT_BYTES}, {passes}>"
                found.append(Subject(cores, function, f"{way} {level}", float(passes * size)))
        floats = MEMORY_BYTES // cores // _VECTOR_GROUP_BYTES * _VECTOR_GROUP_BYTES // FLOAT_BYTES
        for way in WAYS:
            function = f"{way}_memory<{part}, {floats}, {cores}>"
            found.append(Subject(cores, function, f"{way} {Level.MEMORY}", float(floats * FLOAT_BYTES)))
    return tuple(found)


def cache_sizes(machine: Cpu) -> dict[Level, int]:
    """Bytes that a core reads again and again to measure a cache: well inside it, well outside the one before."""
    l2 = machine.l2_bytes or DEFAULT_L2_BYTES
    sizes = {Level.L1: (machine.l1_bytes or DEFAULT_L1_BYTES) // 2, Level.L2: l2 // 2, Level.L3: 3 * l2}
    return {level: size // _VECTOR_GROUP_BYTES * _VECTOR_GROUP_BYTES for level, size in sizes.items()}


def region_bytes(machine: Cpu) -> int:
    """The memory that the program works on: twice the third-level cache, so that little of it is ever found there."""
    own = machine.cores * 4 * (machine.l2_bytes or DEFAULT_L2_BYTES)
    return max(min(2 * (machine.l3_bytes or DEFAULT_L3_BYTES), MOST_BYTES), own, 2 * MEMORY_BYTES)


def peak_program(machine: Cpu, isa: Isa, core_counts: Sequence[int]) -> Program:
    """The program whose blocks are the `subjects`; it has no inputs, outputs or weights."""
    blocks = subjects(machine, isa, core_counts)
    out = Writer()
    out.lines("// Blocks that do one thing each, to see how fast it can be done.", '#include "peak.hpp"', "")
    out.lines("namespace dlfusion {", "")
    with out.block("static const Block blocks[] =", "};"):
        for index, subject in enumerate(blocks):
            out.line(
                f'{{"{(subject.what or "prepare").replace(" ", "_")}_{index}", {subject.function}, {subject.cores}}},'
            )
    weights = np.zeros(0, np.float32)
    digest, cores, region = weights_digest(weights), max(core_counts), region_bytes(machine)
    with out.block("extern const Program program =", "};"):
        out.line(f'"peak", "{digest}", 0, nullptr, 0, nullptr, {len(blocks)}, blocks, {cores}, 0, {region}, 0,')
    out.lines("", "}  // namespace dlfusion")
    runtime = (include_folder() / "runtime.cpp").read_text(encoding="utf-8")
    return Program(
        name="peak",
        inputs=(),
        outputs=(),
        isa=isa.name,
        cores=cores,
        units=(Unit("model.cpp", out.text(), isa.flags), runtime_unit(runtime, isa.flags)),
        headers=read_headers(include_folder()),
        weights=weights,
        weights_sha256=digest,
        architecture=isa.architecture,
    )


def rates(machine: Cpu, isa: Isa, core_counts: Sequence[int], samples: Sequence[Sequence[float]]) -> tuple[Rates, ...]:
    """The best rates for each core count that the samples show.

    Args:
        machine: what the program was made for.
        isa: likewise.
        core_counts: likewise.
        samples: seconds of every block, for each run.
    """
    seconds: dict[tuple[int, str], float] = {}
    amounts: dict[tuple[int, str], float] = {}
    for index, subject in enumerate(subjects(machine, isa, core_counts)):
        if subject.what is not None:
            key = subject.cores, subject.what
            seconds[key] = min(seconds.get(key, math.inf), *(sample[index] for sample in samples))
            amounts[key] = subject.amount * subject.cores
    rate = {key: amount / seconds[key] for key, amount in amounts.items()}
    return tuple(
        Rates(
            cores=cores,
            operations_per_second=rate[cores, "operations"],
            read_bytes_per_second={level: rate[cores, f"read {level}"] for level in Level},
            write_bytes_per_second={level: rate[cores, f"write {level}"] for level in Level},
            start_seconds=seconds[cores, "start"],
        )
        for cores in core_counts
    )


class PeakMeter:
    """The program in memory: `sample` runs it once. Usable as a context manager; closing it removes its files."""

    def __init__(self, machine: Cpu, isa: Isa, core_counts: Sequence[int], cache: Cache | None = None) -> None:
        """Builds the program for the core counts.

        Raises:
            BuildError: no compiler works, or it fails.
        """
        self._arguments = (machine, isa, tuple(core_counts))
        folder = Path(tempfile.mkdtemp(prefix="peak-", dir=scratch_folder()))
        try:
            build(peak_program(machine, isa, core_counts), folder / "peak", cache=cache)
            self._executable = Executable.load(folder / "peak")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._folder = folder

    def sample(self) -> tuple[float, ...]:
        """Seconds of every block in one run."""
        return self._executable.profile()

    def rates(self, samples: Sequence[Sequence[float]]) -> tuple[Rates, ...]:
        """The best rates of the samples, for each core count."""
        return rates(*self._arguments, samples)

    def close(self) -> None:
        """Frees the memory and removes the files."""
        self._executable.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "PeakMeter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
