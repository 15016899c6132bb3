"""Proves that a target is found by its name or by its machine file, and that none passes for another."""

from pathlib import Path

import pytest

from dlfusion.errors import InputError
from dlfusion.machine import machine_files
from dlfusion.targets import find_target, target_names
from dlfusion.targets.cpu.isa import ISAS

MLU100 = machine_files()["mlu100"]


def test_names_and_files_that_ship() -> None:
    assert target_names() == ("cpu", "cocco", "mlu100", "two_level")
    for name in target_names():
        target = find_target(name)
        assert (target.name, target.simulated) == (name, name != "cpu")
    assert find_target(str(MLU100)).machine == find_target("mlu100").machine


def test_a_machine_file_of_ones_own_is_called_by_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "my_npu.toml"
    path.write_bytes(MLU100.read_bytes())
    target = find_target(str(path))
    assert (target.name, target.simulated) == ("my_npu", True)


@pytest.mark.parametrize("name", ["cpu", "mlu100"])
def test_a_machine_file_does_not_pass_for_a_target_that_ships(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_bytes(MLU100.read_bytes())
    with pytest.raises(InputError, match=f"named as the target `{name}` that ships; rename it, as `my_{name}.toml`"):
        find_target(str(path))


def test_an_unknown_name_is_told_the_others() -> None:
    with pytest.raises(InputError, match="there is no target `gpu`; choose one of cpu, cocco, mlu100, two_level"):
        find_target("gpu")


def test_only_the_cpu_has_a_choice_of_instruction_sets() -> None:
    flags = find_target("cpu", isa="avx2").setting.flags
    assert set(ISAS["avx2"].flags) <= set(flags)
    assert "-mavx512f" not in flags
    with pytest.raises(InputError, match="unknown instruction set 'sse'"):
        find_target("cpu", isa="sse")
    with pytest.raises(InputError, match="has no choice of instruction sets, so avx2 has no effect"):
        find_target("mlu100", isa="avx2")


def test_only_the_cpu_has_a_choice_of_precisions() -> None:
    assert find_target("cpu", "bf16").name == "cpu"
    with pytest.raises(InputError, match="unknown precision 'int8'"):
        find_target("cpu", "int8")
    for name in ("mlu100", str(MLU100)):
        with pytest.raises(InputError, match="has no choice of precisions, so bf16 has no effect"):
            find_target(name, "bf16")
