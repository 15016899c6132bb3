"""The CPU as a target: plans of one network are built, timed in turns, and leave nothing behind."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfusion.errors import BuildError, InputError, PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import host
from dlfusion.machine.host import usable_cores
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.structure import structure
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.toolchain import COMMON_FLAGS
from dlfusion.targets.cpu import isa as instruction_sets
from dlfusion.targets.cpu import measuring
from dlfusion.targets.cpu.isa import ISAS
from dlfusion.targets.cpu.measuring import CpuBench, CpuTarget
from dlfusion.targets.cpu.target import generate, prepare
from tests.support.networks import chain, convolution, relu

ISA = host().isas[0]


def network() -> Network:
    """Planar first, blocked later: the kernels' layouts change on the way."""
    builder = GraphBuilder("tiny")
    value = builder.input("image", (1, 3, 24, 24))
    for channels in (16, 32, 32, 32):
        value = relu(builder, convolution(builder, value, channels, 3))
    builder.output(value)
    return describe(builder.build())


def plans(net: Network) -> tuple[Plan, Plan]:
    alone = tuple(Block(index, index, 1, step_rows=24) for index in range(4))
    digest = net.graph.digest
    return Plan(digest, "m", "alone", alone), Plan(digest, "m", "fused", (Block(0, 1, 1, step_rows=4), Block(2, 3, 1)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go during the test."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_two_plans_are_built_and_timed_and_leave_nothing(folder: Path) -> None:
    net = network()
    target = CpuTarget()
    with target.bench(net) as bench:
        times = bench.time_plans(plans(net), 0.05)
        assert not list(folder.glob("*/*/plan-*"))
    for plan, found in zip(plans(net), times, strict=True):
        assert len(found.total) >= 3
        assert [len(samples) for samples in found.blocks] == [len(found.total)] * len(plan.blocks)
        for run, total in enumerate(found.total):
            assert 0 < sum(samples[run] for samples in found.blocks) <= total
    assert list(folder.glob("*/*")) == []


def test_programs_share_one_file_of_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = []

    def note_links(candidates: Sequence[object], seconds: float) -> tuple[tuple[object, ...], ...]:
        del seconds
        files = list(folder.glob("*/**/weights.bin"))
        shared.append((len(files), {file.stat().st_ino for file in files}))
        return tuple(() for _ in candidates)

    monkeypatch.setattr(measuring, "take_turns", note_links)
    net = network()
    with CpuTarget().bench(net) as bench:
        bench.time_plans(plans(net), 0.0)
    ((count, inodes),) = shared
    assert (count, len(inodes)) == (3, 1)


def test_an_interruption_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = Executable.close

    def note_close(self: Executable) -> None:
        closed.append(self)
        close(self)

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Executable, "close", note_close)
    monkeypatch.setattr(measuring, "take_turns", interrupt)
    net = network()
    with pytest.raises(KeyboardInterrupt), CpuTarget().bench(net) as bench:
        bench.time_plans(plans(net), 0.05)
    assert len(closed) == 2
    assert list(folder.glob("*/*")) == []


def test_weights_that_cannot_be_written_are_the_users_error(tmp_path: Path) -> None:
    net = network()
    bench = CpuBench(net, ISAS[ISA], Cache(tmp_path / "cache"), tmp_path / "gone")
    with pytest.raises(BuildError, match=r"cannot write \d+ bytes of packed weights to .*set TMPDIR"):
        bench.time_plans(plans(net), 0.05)


def test_more_cores_than_the_process_may_use_are_refused() -> None:
    net = network()
    cores = usable_cores() + 1
    plan = Plan(net.graph.digest, "m", "greedy", (Block(0, 3, cores),))
    with CpuTarget().bench(net) as bench, pytest.raises(PlanError, match=f"uses {cores} cores"):
        bench.time_plans([plan], 0.0)


def test_structure_tells_apart_what_kernels_tell_apart() -> None:
    """A block whose input lies planar takes a conversion that an equal block inside the network does not."""
    net = network()
    with CpuTarget().bench(net) as bench:
        inner, same = (bench.structure(Block(index, index, 1)) for index in (2, 2))
        assert inner == same
        assert bench.structure(Block(2, 2, 2)) != inner
        assert bench.structure(Block(3, 3, 1)) != inner  # its result is the model's output
        assert structure(net, Block(2, 2, 1)) != inner
    wide = describe(chain(((32, 3, 1),) * 4, channels=32).build())
    with CpuTarget().bench(wide) as bench:
        assert bench.structure(Block(1, 1, 1)) == bench.structure(Block(2, 2, 1))
        assert bench.structure(Block(0, 0, 1)) != bench.structure(Block(1, 1, 1))  # it reads the user's array


def test_the_setting_names_what_times_depend_on() -> None:
    target = CpuTarget(ISA)
    setting = target.setting
    assert setting.machine == host().fingerprint == target.machine.fingerprint
    assert "\n" not in setting.compiler
    assert setting.flags == (*COMMON_FLAGS, *ISAS[ISA].flags)
    assert len(setting.library) == 16
    assert setting == CpuTarget().setting
    assert (target.name, target.simulated) == ("cpu", False)


def test_programs_with_weights_as_bfloat16_are_other_work() -> None:
    net = describe(chain(((64, 3, 1),) * 3, height=7, channels=64).build())
    narrow_target, wide_target = CpuTarget(ISA, precision="bf16"), CpuTarget(ISA)
    assert narrow_target.setting == wide_target.setting
    with narrow_target.bench(net) as narrow, wide_target.bench(net) as wide:
        assert narrow.structure(Block(1, 1, 1)) == narrow.structure(Block(1, 1, 1))
        assert narrow.structure(Block(1, 1, 1)) != wide.structure(Block(1, 1, 1))
        plan = Plan(net.graph.digest, "m", "alone", tuple(Block(i, i, 1) for i in range(3)))
        (times,) = narrow.time_plans([plan], 0.01)
        assert len(times.blocks) == len(plan.blocks)
    with pytest.raises(InputError, match="unknown precision 'half'"):
        CpuTarget(precision="half")


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown instruction set 'sse'"):
        CpuTarget("sse")
    poor = replace(host(), isas=("avx2",))
    monkeypatch.setattr(measuring, "host", lambda: poor)
    with pytest.raises(InputError, match="cannot run avx512; it has avx2"):
        CpuTarget("avx512")
    for module in (measuring, instruction_sets):
        monkeypatch.setattr(module, "host", lambda: replace(poor, isas=()))
    with pytest.raises(InputError, match="none of the supported"):
        CpuTarget()


def test_a_prepared_network_gives_the_same_program() -> None:
    net = network()
    isa = ISAS[ISA]
    prepared = prepare(net, isa, plans(net))
    for plan in plans(net):
        once, again = generate(net, plan, isa), generate(net, plan, isa, prepared)
        assert once.units == again.units
        assert once.headers == again.headers
        assert once.weights_sha256 == again.weights_sha256
        assert np.array_equal(once.weights, again.weights)
        assert again.weights is prepared.weights.floats
