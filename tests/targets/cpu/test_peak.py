"""The program that measures the machine's limits: what it does, and how rates follow from its times."""

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dlfusion.machine.cpu import Cpu
from dlfusion.machine.rates import Level
from dlfusion.runtime.cache import Cache
from dlfusion.targets.cpu.isa import AVX2, Isa, choose_isa
from dlfusion.targets.cpu.peak import (
    MEMORY_BYTES,
    PEAK_SUMS,
    ROUNDS,
    PeakMeter,
    cache_sizes,
    peak_program,
    rates,
    region_bytes,
    subjects,
)
from tests.support.isas import X86_ISAS
from tests.targets.cpu.kernel_harness import INCLUDE, compiler_command, supports

KIB, MIB = 1 << 10, 1 << 20
SMALL = Cpu("toy", 2, l1_bytes=32 * KIB, l2_bytes=512 * KIB, l3_bytes=8 * MIB)


def test_rates_by_hand() -> None:
    found = subjects(SMALL, AVX2, (1, 2))
    seconds = {"start": 1e-6, "operations": 1e-3, "read L1": 1e-4, "read L2": 2e-4, "read L3": 1e-2, "read memory": 0.1}
    seconds |= {f"write {level}": 2 * seconds[f"read {level}"] for level in Level}
    best = [1.0 if subject.what is None else seconds[subject.what] for subject in found]
    one, two = rates(SMALL, AVX2, (1, 2), [[3 * time for time in best], best, [2 * time for time in best]])
    assert (one.cores, two.cores) == (1, 2)
    assert one.operations_per_second == pytest.approx(2 * ROUNDS * PEAK_SUMS[8] * 8 / 1e-3)
    assert two.operations_per_second == pytest.approx(2 * one.operations_per_second)
    read = one.read_bytes_per_second
    assert read[Level.L1] == pytest.approx(16 * MIB / 1e-4)
    assert read[Level.L2] == pytest.approx(16 * MIB / 2e-4)
    assert read[Level.L3] == pytest.approx(10 * 3 * 512 * KIB / 1e-2), "ten passes of 1.5 MiB are in 16 MiB"
    assert two.read_bytes_per_second[Level.L3] == pytest.approx(2 * read[Level.L3])
    assert read[Level.MEMORY] == two.read_bytes_per_second[Level.MEMORY] == pytest.approx(MEMORY_BYTES / 0.1)
    assert one.write_bytes_per_second == {level: pytest.approx(read[level] / 2) for level in Level}
    assert one.start_seconds == 1e-6


def test_what_is_read_lies_inside_its_cache_and_outside_the_one_before() -> None:
    for machine in (SMALL, Cpu("unknown", 4), Cpu("large", 64, (), 48 * KIB, 2 * MIB, 260 * MIB)):
        sizes = cache_sizes(machine)
        l1, l2 = machine.l1_bytes or 32 * KIB, machine.l2_bytes or MIB
        assert sizes[Level.L1] < l1 < sizes[Level.L2] < l2 < sizes[Level.L3]
        assert machine.cores * sizes[Level.L3] <= region_bytes(machine), "each core has its own part"
        assert 2 * MEMORY_BYTES <= region_bytes(machine) <= 1 << 30


def test_a_sample_has_a_time_for_each_block(tmp_path_factory: pytest.TempPathFactory) -> None:
    isa = choose_isa()
    cache = Cache(tmp_path_factory.mktemp("cache"))
    with PeakMeter(SMALL, isa, (1, 2), cache) as meter:
        samples = [meter.sample(), meter.sample()]
        found = meter.rates(samples)
    assert {len(sample) for sample in samples} == {len(subjects(SMALL, isa, (1, 2)))}
    for entry in found:
        moved = (*entry.read_bytes_per_second.values(), *entry.write_bytes_per_second.values())
        assert all(math.isfinite(rate) and rate > 0 for rate in (entry.operations_per_second, *moved))
        assert entry.start_seconds > 0


CHECKS = """
#define EXPORT extern "C" __attribute__((visibility("default")))
EXPORT float total(const float* from, long floats) {
  const Vector sums = read(from, floats, broadcast(1.0f));
  float sum = 0;
  for (int lane = 0; lane < LANES; ++lane) sum += sums[lane];
  return sum;
}
EXPORT void run_memory(float* memory, int core) {
  const Run run = {nullptr, nullptr, nullptr, memory, nullptr};
  read_memory<1024, 256, 2>(run, core);
}
EXPORT void run_write(float* memory, int core) {
  const Run run = {nullptr, nullptr, nullptr, memory, nullptr};
  write_memory<1024, 256, 2>(run, core);
  write_cache<1024, 512, 2>(run, 3);
}
EXPORT void take(float* memory) {
  const Run run = {nullptr, nullptr, nullptr, memory, nullptr};
  take_memory<4096>(run, 0);
}
"""


@pytest.mark.parametrize("clang", [False, True], ids=["g++", "clang"])
@pytest.mark.parametrize("isa", X86_ISAS.values(), ids=lambda isa: isa.name)
def test_every_number_is_read(isa: Isa, clang: bool, tmp_path: Path) -> None:
    """Compiles the program's own text, warnings as errors, with functions to call its loops by."""
    text = peak_program(SMALL, isa, (1, 2)).units[0].text
    (tmp_path / "peak.cpp").write_text(text + "using namespace dlfusion;" + CHECKS)
    flags = [
        "-std=c++17",
        "-O3",
        "-fPIC",
        "-shared",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Werror",
        *isa.flags,
        f"-I{INCLUDE}",
    ]
    command = [*compiler_command(clang), *flags, str(tmp_path / "peak.cpp"), "-o", str(tmp_path / "peak.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    if not supports(isa.name):
        return
    library = ctypes.CDLL(str(tmp_path / "peak.so"))
    library.total.argtypes = (ctypes.c_void_p, ctypes.c_long)
    library.total.restype = ctypes.c_float
    numbers = np.random.default_rng(1).integers(-9, 9, 1024).astype(np.float32)
    for floats in (0, 256, 512, 1024):
        expected = numbers[:floats].sum() + isa.lanes
        assert library.total(numbers.ctypes.data, floats) == expected
    memory = np.zeros(4096, np.float32)
    for core in (0, 1, 1, 0, 0, 0):
        library.run_memory(ctypes.c_void_p(memory.ctypes.data), core)
    assert not memory.any(), "reading writes nothing"
    library.run_write(ctypes.c_void_p(memory.ctypes.data), 1)
    library.run_write(ctypes.c_void_p(memory.ctypes.data), 1)
    ones = np.flatnonzero(memory)
    assert ones.tolist() == [*range(1024, 1536), *range(3072, 3584)], "two pieces of core 1, and those of core 3"
    memory[:] = 0
    library.take(ctypes.c_void_p(memory.ctypes.data))
    assert np.flatnonzero(memory).tolist() == [0, 1024, 2048, 3072], "one number in each page"
