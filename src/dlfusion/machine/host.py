"""What can be found out about the machine that this program runs on."""

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dlfusion.machine.cpu import Cpu

# The processor flags that code for an instruction set relies on, in the order of `Cpu.isas`.
_ISA_FLAGS = {
    "avx512": frozenset({"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma", "avx2"}),
    "avx2": frozenset({"avx2", "fma"}),
    "avx512_bf16": frozenset({"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma", "avx2", "avx512_bf16"}),
    "neon": frozenset({"fp", "asimd"}),
}

# By vendor and family, how many times as fast as float32 processors multiply and add bfloat16: Zen 4 (measured).
_BFLOAT16_SPEEDS = {("AuthenticAMD", "25"): 2.0}

_SIZE_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


@cache
def host() -> Cpu:
    """The machine under this process: cores that it may use, instruction sets and caches. Rates stay unknown."""
    return read_machine(Path("/"), usable_cores())


def usable_cores() -> int:
    """Cores that this process may run on: its affinity, further limited by a container's processor quota."""
    return len(usable_cpus())


def usable_cpus(root: Path = Path("/")) -> tuple[int, ...]:
    """The system's numbers of `usable_cores` CPUs that this process may run on, ascending.

    `root` is where the Linux file of the quota is looked for (`sys/fs/cgroup/cpu.max`).
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return tuple(allowed[: _quota_cores(root)])


def read_machine(root: Path, cores: int) -> Cpu:
    """The machine that the Linux files below `root` (`proc`, `sys`) describe; missing files leave facts unknown."""
    processor = _first_processor(root / "proc/cpuinfo")
    flags = set((processor.get("flags") or processor.get("Features", "")).split())  # of x86, else of Arm
    caches = _caches(root / "sys/devices/system/cpu/cpu0/cache")
    return Cpu(
        name=_name(processor),
        cores=cores,
        isas=tuple(isa for isa, needed in _ISA_FLAGS.items() if needed <= flags),
        l1_bytes=caches.get((1, "Data")),
        l2_bytes=caches.get((2, "Unified")),
        l3_bytes=caches.get((3, "Unified")),
        bfloat16_speed=_BFLOAT16_SPEEDS.get((processor.get("vendor_id", ""), processor.get("cpu family", "")), 1.0),
    )


def _name(processor: Mapping[str, str]) -> str:
    """What people call the processor; Arm's have no name in Linux, but a number of the maker and one of the design."""
    if "model name" in processor:
        return processor["model name"]
    maker, design = processor.get("CPU implementer"), processor.get("CPU part")
    if maker and design:
        return f"{platform.machine()} processor {maker} {design}"
    return platform.processor() or platform.machine() or "unknown processor"


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _first_processor(path: Path) -> dict[str, str]:
    """The `key : value` lines of the first processor."""
    entries: dict[str, str] = {}
    for line in (_read(path) or "").splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            break
        entries[key.strip()] = value.strip()
    return entries


def _caches(folder: Path) -> dict[tuple[int, str], int]:
    """Bytes by level and type (`Data`, `Instruction`, `Unified`)."""
    caches: dict[tuple[int, str], int] = {}
    for entry in sorted(folder.glob("index*")):
        level, kind, size = (_read(entry / name) for name in ("level", "type", "size"))
        if level and kind and size and size[:-1].isdigit() and size[-1] in _SIZE_UNITS:
            caches[int(level), kind] = int(size[:-1]) * _SIZE_UNITS[size[-1]]
    return caches


def _quota_cores(root: Path) -> int | None:
    """Whole processors that the control group grants, at least one; None without a limit."""
    words = (_read(root / "sys/fs/cgroup/cpu.max") or "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return max(1, int(words[0]) // int(words[1]))
