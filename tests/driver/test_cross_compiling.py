"""Planning for a CPU that is not here: what is known of it comes from users, and nothing from this machine."""

import platform
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import dlfusion
from dlfusion import driver
from dlfusion.cost.profile import Profile, shipped_profiles
from dlfusion.driver.planning import default_strategy
from dlfusion.errors import InputError, PlanError, PlanWarning
from dlfusion.layers.describe import describe
from dlfusion.machine import AARCH64, X86_64, Cpu, host, host_architecture
from dlfusion.targets import find_target
from dlfusion.targets.cpu import isa as instruction_sets
from dlfusion.targets.cpu.foreign import ForeignCpu
from dlfusion.targets.cpu.isa import NEON
from tests.support.networks import chain

pytestmark = pytest.mark.skipif(host_architecture() != X86_64, reason="neon is this machine's own instruction set")

BOARD = Cpu("A board", 2, ("neon",), 64 << 10, 512 << 10, None)
SETTING = find_target("cpu").setting
NETWORK = describe(chain([(3, 1, 1), (8, 3, 1), (5, 3, 2)]).build())


@pytest.fixture(autouse=True)
def no_cross_compiler_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are compared with the profile's compiler, which takes no part in this."""
    setting = property(lambda target: replace(SETTING, machine=target.machine.fingerprint))
    monkeypatch.setattr(ForeignCpu, "setting", setting)


def profile(machine: str) -> Profile:
    """The one that ships, as if it had been measured on another machine with our compiler and kernels."""
    shipped = Profile.from_json(shipped_profiles()["cpu"].read_text(encoding="utf-8"))
    return replace(shipped, machine=machine, compiler=SETTING.compiler, library=SETTING.library)


def test_nothing_of_this_machine_counts() -> None:
    target = find_target("cpu", isa="neon")
    task = driver.problem(NETWORK, target)
    assert task.machine == Cpu("any aarch64 processor", host().cores, ("neon",))
    assert task.profile is None
    assert default_strategy(task, target) == "dp"


def test_users_know_how_many_cores_it_has() -> None:
    assert driver.problem(NETWORK, find_target("cpu", isa="neon")).core_counts == host().core_counts
    assert driver.problem(NETWORK, find_target("cpu", isa="neon"), cores=32).core_counts == tuple(range(1, 33))
    with pytest.raises(PlanError, match="0 cores are asked for"):
        driver.problem(NETWORK, find_target("cpu", isa="neon"), cores=0)


def test_a_profile_of_such_a_machine_says_what_it_is() -> None:
    target = find_target("cpu", isa="neon")
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlanWarning)
        task = driver.problem(NETWORK, target, profile=profile(BOARD.fingerprint))
        plan = driver.choose(task, target, default_strategy(task, target))
    assert task.machine == BOARD
    assert (plan.strategy, plan.machine) == ("dlfusion", BOARD.fingerprint)
    with pytest.raises(PlanError, match="3 cores are asked for, but cpu-aarch64 runs blocks on 1 to 2"):
        driver.problem(NETWORK, target, cores=3, profile=profile(BOARD.fingerprint))


def test_a_profile_of_this_machine_is_told_apart() -> None:
    with pytest.warns(PlanWarning, match=r"another machine.*on the machine that will run the model measures that"):
        task = driver.problem(NETWORK, find_target("cpu", isa="neon"), profile=profile(host().fingerprint))
    assert task.machine == Cpu("any aarch64 processor", host().cores, ("neon",))


def test_a_plan_that_was_made_there_is_taken_as_it_is(tmp_path: Path) -> None:
    target = find_target("cpu", isa="neon")
    plan = replace(driver.choose(driver.problem(NETWORK, target), target, "baseline"), machine=BOARD.fingerprint)
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlanWarning)
        assert driver.read_plan(NETWORK, tmp_path / "plan.json", target) == plan


def test_compiling_for_here_and_for_elsewhere_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`dlfusion\.cross_compile`"):
        dlfusion.compile(NETWORK, isa="neon")
    with pytest.raises(InputError, match="use `compile`"):
        dlfusion.cross_compile(NETWORK, tmp_path / "out", "avx2")
    with pytest.raises(InputError, match="unknown precision"):
        find_target("cpu", "int8", "neon")
    with pytest.raises(InputError, match="avx512, avx2, avx512_bf16, neon"):
        dlfusion.cross_compile(NETWORK, tmp_path / "out", "sve")


def test_on_aarch64_neon_is_the_machine_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: AARCH64)
    monkeypatch.setattr(instruction_sets, "host", lambda: BOARD)
    assert driver.choose_isa() is NEON
    assert not instruction_sets.is_foreign(NEON)
