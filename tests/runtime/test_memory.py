"""Peak memory of this process."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from dlfusion.errors import DlfusionError, InputError
from dlfusion.runtime import memory
from dlfusion.runtime.executable import Executable

MEBIBYTE = 2**20


def use_memory(mebibytes: int) -> None:
    """Touch this much memory, and give it back to the system, which an allocator need not do."""
    with mmap.mmap(-1, mebibytes * MEBIBYTE) as memory_map:
        for offset in range(0, len(memory_map), mmap.PAGESIZE):
            memory_map[offset] = 1


def test_the_peak_counts_what_is_free_again_but_not_what_was_free_before_the_reset() -> None:
    use_memory(200)
    memory.reset_peak()
    before = memory.resident_bytes()
    use_memory(60)
    assert memory.resident_bytes() - before < 30 * MEBIBYTE
    assert 55 * MEBIBYTE <= memory.peak_bytes() - before < 90 * MEBIBYTE


def test_a_system_that_cannot_is_an_error_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_CLEAR_REFERENCES", tmp_path / "missing" / "clear_refs")
    with pytest.raises(DlfusionError, match=r"cannot be written .*--no-memory"):
        memory.reset_peak()


def test_more_memory_than_is_free_is_refused_with_both_numbers(
    tiny: Executable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    x = np.ones((1, 6, 5), np.float32)
    system = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "_SYSTEM", system)
    system.write_text("MemTotal: 4096 kB\nMemAvailable: 4 kB\n")
    with pytest.raises(InputError, match=r"running the model tiny takes 0\.0 GiB of memory, but only 0\.0 are free"):
        tiny(x)
    with pytest.raises(InputError, match=r"a takes 1024\.0 GiB of memory"):
        memory.require_available(2**40, "a")
    system.write_text("MemTotal: 4096 kB\nMemAvailable: 4096 kB\n")
    tiny(x)
    system.write_text("MemTotal: 4096 kB\n")
    memory.require_available(2**60, "where the system does not say")
