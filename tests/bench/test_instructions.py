"""Hiding AVX-512: what an engine that asks the processor sees, and what is recorded where it cannot be hidden."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.bench import instructions
from dlfusion.bench.engines.ncnn import Ncnn
from dlfusion.bench.engines.openvino import OpenVino
from dlfusion.bench.instructions import VARIABLE, Restriction, hide_as_told, restriction
from dlfusion.machine.host import host

# NumPy chooses its kernels when it is imported, as engines do.
SEEN = (
    "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); assert library.hide_avx512(); "
    "from numpy._core._multiarray_umath import __cpu_features__ as seen; print(seen['AVX2'], seen['AVX512F'])"
)


def test_nothing_is_hidden_unless_ours_runs_with_less_than_the_machine_has(tmp_path: Path) -> None:
    for isa in (None, "avx512"):
        assert restriction(isa, tmp_path) == Restriction()
        assert Restriction().holds(Ncnn)
        assert Restriction().environment(OpenVino) == {}
    assert hide_as_told()


def test_a_machine_that_hangs_when_instructions_are_hidden_counts_as_one_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(instructions, "host", lambda: replace(host(), isas=("avx512", "avx2")))
    monkeypatch.setattr(instructions, "_build", lambda folder: folder / "hide.so")
    monkeypatch.setattr(subprocess, "run", hang)
    assert restriction("avx2", tmp_path) == Restriction("avx2")


@pytest.mark.skipif("avx512" not in host().isas, reason="this machine has no AVX-512 to hide")
def test_what_is_loaded_later_sees_avx2_alone(tmp_path: Path) -> None:
    found = restriction("avx2", tmp_path)
    if found.library is None:
        pytest.skip("this machine cannot hide instructions")
    assert found.environment(Ncnn) == {VARIABLE: str(found.library)}
    command = [sys.executable, "-c", SEEN, str(found.library)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["True", "False"]
    fault = [sys.executable, "-c", SEEN + "; ctypes.string_at(0)", str(found.library)]
    assert subprocess.run(fault, capture_output=True, check=False).returncode < 0


def test_where_nothing_can_be_hidden_only_engines_with_a_setting_are_kept_to_it() -> None:
    found = Restriction("avx2")
    assert found.environment(OpenVino) == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert found.holds(OpenVino)
    assert not found.holds(Ncnn)
