"""Proves that a machine is read from Linux files, and that what is missing stays unknown."""

import os
import platform
from pathlib import Path

import pytest

from dlfusion.machine import AARCH64, X86_64, Cpu, host, host_architecture, load_machine, machine_files
from dlfusion.machine.architecture import library_architecture
from dlfusion.machine.host import read_machine, usable_cores, usable_cpus


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    flags = "fpu fma avx2 avx512f avx512vl avx512bw avx512dq"
    cpuinfo = f"processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: Other\n"
    write(tmp_path / "proc/cpuinfo", cpuinfo)
    caches = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K"), ("3", "Unified", "32M")]
    for index, (level, kind, size) in enumerate(caches):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        for name, text in (("level", level), ("type", kind), ("size", size)):
            write(folder / name, text + "\n")
    return tmp_path


def test_everything_that_linux_tells(root: Path) -> None:
    assert read_machine(root, 2) == Cpu("Test CPU", 2, ("avx512", "avx2"), 48 << 10, 2 << 20, 32 << 20)


def test_an_instruction_set_needs_all_its_flags(root: Path) -> None:
    write(root / "proc/cpuinfo", "model name : Old CPU\nflags : fma avx2 avx512f\n")
    assert read_machine(root, 1).isas == ("avx2",)


def test_the_speed_of_bfloat16_is_known_by_processor(root: Path) -> None:
    flags = "fma avx2 avx512f avx512vl avx512bw avx512dq avx512_bf16"
    for vendor, family, speed in (("AuthenticAMD", 25, 2.0), ("GenuineIntel", 6, 1.0)):
        write(root / "proc/cpuinfo", f"vendor_id : {vendor}\ncpu family : {family}\nflags : {flags}\n")
        machine = read_machine(root, 1)
        assert machine.isas == ("avx512", "avx2", "avx512_bf16")
        assert machine.bfloat16_speed == speed


def test_an_arm_processor_is_known_by_its_numbers(tmp_path: Path) -> None:
    lines = ["processor : 0", "Features : fp asimd evtstrm", "CPU implementer : 0x41", "CPU part : 0xd0c"]
    write(tmp_path / "proc/cpuinfo", "\n".join(lines) + "\n")
    machine = read_machine(tmp_path, 4)
    assert machine.isas == ("neon",)
    assert machine.name.endswith("processor 0x41 0xd0c")


def test_missing_files_leave_facts_unknown(tmp_path: Path) -> None:
    machine = read_machine(tmp_path, 3)
    assert machine.cores == 3
    assert machine.name
    assert (machine.isas, machine.l1_bytes, machine.l2_bytes, machine.l3_bytes) == ((), None, None, None)


def test_fingerprint_names_what_plans_depend_on() -> None:
    machine = Cpu("Test CPU", 2, ("avx2",), 48 << 10, None, 32 << 20)
    assert machine.fingerprint == "Test CPU; 2 cores; isa avx2; L1 48 KiB; L2 unknown; L3 32768 KiB"
    assert Cpu.from_fingerprint(machine.fingerprint) == machine
    assert Cpu.from_fingerprint(Cpu("Other; CPU", 16).fingerprint) == Cpu("Other; CPU", 16)
    assert Cpu.from_fingerprint(load_machine(machine_files()["mlu100"]).fingerprint) is None


def test_a_library_says_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, architecture in ((0x3E, X86_64), (0xB7, AARCH64), (0xF3, None)):
        (tmp_path / "model.so").write_bytes(b"\x7fELF" + bytes(14) + number.to_bytes(2, "little") + bytes(8))
        assert library_architecture(tmp_path / "model.so") == architecture
    (tmp_path / "model.so").write_bytes(b"no library")
    assert library_architecture(tmp_path / "model.so") is None
    for name, architecture in (("AMD64", X86_64), ("arm64", AARCH64), ("riscv64", "riscv64")):
        monkeypatch.setattr(platform, "machine", lambda name=name: name)
        assert host_architecture() == architecture


def test_the_host_has_as_many_cores_as_this_process_may_use() -> None:
    assert host() == host()
    assert host().cores == usable_cores() == len(usable_cpus()) >= 1
    assert set(usable_cpus()) <= os.sched_getaffinity(0)


@pytest.mark.parametrize(
    ("quota", "cpus"), [("200000 100000", (3, 4)), ("50000 100000", (3,)), ("max 100000", (3, 4, 5, 7))]
)
def test_a_quota_leaves_fewer_cores_than_the_process_may_run_on(
    root: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cpus: tuple[int, ...]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {7, 3, 5, 4})
    write(root / "sys/fs/cgroup/cpu.max", quota)
    assert usable_cpus(root) == cpus
