"""Packed weights: which sections plans use, where each lies, and what happens when later plans need others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfusion.errors import BuildError, PlanError
from dlfusion.graph.graph import Array
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine.host import host
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.cache import Cache
from dlfusion.targets.cpu.isa import AVX512, ISAS
from dlfusion.targets.cpu.measuring import CpuBench
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.section import ALIGNMENT, Section
from dlfusion.targets.cpu.target import generate, prepare
from dlfusion.targets.cpu.weights import pack, uses
from tests.support.networks import chain

TILED = ((0, "winograd4"), (2, "winograd2"))


@pytest.fixture
def network() -> Network:
    """Three 3x3 convolutions of 16 channels."""
    return describe(chain([(16, 3, 1)] * 3, height=12, channels=16).build())


def plan(network: Network, *algorithms: tuple[int, str]) -> Plan:
    return Plan(network.graph.digest, "any machine", "by hand", (Block(0, 2, 1, algorithms=algorithms),))


def test_a_section_has_zeros_between_its_arrays_and_computes_late() -> None:
    section, calls = Section(), []

    def fill(place: Array) -> None:
        calls.append(place.size)
        place[...] = 7.0

    first = section.append(np.ones(3, np.float32))
    second = section.append_later(5, fill)
    assert (first, second, section.size, calls) == (0, ALIGNMENT, 2 * ALIGNMENT, [])
    place = np.full(section.size, np.nan, np.float32)
    section.write(place)
    assert calls == [5]
    assert place.tolist() == [1.0] * 3 + [0.0] * (ALIGNMENT - 3) + [7.0] * 5 + [0.0] * (ALIGNMENT - 5)


def test_uses_are_those_of_all_plans(network: Network) -> None:
    both = uses(network, [plan(network), plan(network, *TILED)])
    expected = {(index, Algorithm.DIRECT) for index in range(3)}
    expected |= {(0, Algorithm.WINOGRAD_4), (2, Algorithm.WINOGRAD_2)}
    assert both == expected


def test_each_use_has_a_section_of_its_own(network: Network) -> None:
    prepared = prepare(network, AVX512, [plan(network), plan(network, *TILED)])
    packed = prepared.weights
    ends = {
        use: start + prepared.lowering.layers[use[0]][use[1]].constants.size for use, start in packed.offsets.items()
    }
    ordered = sorted(packed.offsets, key=lambda use: packed.offsets[use])
    assert [use[0] for use in ordered] == [0, 0, 1, 2, 2]
    assert [packed.offsets[use] for use in ordered] == [0, *[ends[use] for use in ordered[:-1]]]
    for (index, algorithm), start in packed.offsets.items():
        section = prepared.lowering.layers[index][algorithm].constants
        np.testing.assert_array_equal(packed.floats[start : start + section.size], section.finish())
    assert pack(prepared.lowering, reversed(ordered)).sha256 == packed.sha256


def test_weights_are_packed_again_only_where_plans_need_others(network: Network) -> None:
    direct, tiled = plan(network), plan(network, *TILED)
    prepared = prepare(network, AVX512, [direct, tiled], Precision.BF16)
    assert prepared.for_plans(network, [tiled]) is prepared
    narrow = prepare(network, AVX512, [direct], Precision.BF16)
    other = narrow.for_plans(network, [tiled])
    assert other.lowering is narrow.lowering
    assert other.precision is Precision.BF16
    assert generate(network, tiled, AVX512, other).precision == "bf16"


def test_a_program_never_lacks_its_weights(network: Network) -> None:
    prepared = prepare(network, AVX512, [plan(network)])
    with pytest.raises(ValueError, match="other algorithms"):
        generate(network, plan(network, *TILED), AVX512, prepared)


@pytest.mark.parametrize("name", ["fft", "winograd3"])
def test_algorithms_that_do_not_exist_are_refused(network: Network, name: str) -> None:
    with pytest.raises(PlanError, match=f"algorithm {name}"):
        generate(network, plan(network, (1, name)), AVX512)


def test_a_write_that_fails_leaves_the_bench_as_it_was(network: Network, tmp_path: Path) -> None:
    bench = CpuBench(network, ISAS[host().isas[0]], Cache(tmp_path / "cache"), tmp_path)
    direct = replace(plan(network), blocks=tuple(Block(index, index, 1) for index in range(3)))
    bench.time_plans([direct], 0.0)
    before = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin.part").mkdir()
    with pytest.raises(BuildError, match="cannot write"):
        bench.time_plans([plan(network, *TILED)], 0.0)
    assert (tmp_path / "weights.bin").read_bytes() == before
    assert len(bench.time_plans([direct], 0.0)) == 1
