"""Layers measured in turns: plans with the same kernels, and reports from planted samples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion import driver
from dlfusion.bench.layers import (
    Options,
    PlanPair,
    core_report,
    lowered_ways,
    measure_layers,
    plan_pair,
    with_algorithms_of,
    with_one_core_times,
)
from dlfusion.errors import InputError, VerificationError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine.host import host, usable_cores
from dlfusion.plans.plan import Block, Plan
from dlfusion.report.layer_work import Way
from dlfusion.runtime.check import Verdict, compare
from dlfusion.targets.cpu.isa import choose_isa
from dlfusion.targets.cpu.measuring import CpuTarget
from dlfusion.targets.cpu.target import prepare
from dlfusion.targets.target import PlanTimes
from tests.report.toy_layers import RATES, TWO_CORES
from tests.support.networks import convolution, relu


def network() -> Network:
    """Three convolutions, of which the second and third have 16 channels on both sides."""
    builder = GraphBuilder("toy")
    value = builder.input("image", (1, 3, 12, 12))
    for _ in range(3):
        value = relu(builder, convolution(builder, value, 16, 3))
    builder.output(value)
    return describe(builder.build())


def alone(net: Network, *, cores: int = 1) -> Plan:
    blocks = tuple(Block(layer.index, layer.index, cores, step_rows=12) for layer in net.layers)
    return Plan(net.graph.digest, "m", "all-cores", blocks)


def fused(net: Network, algorithms: tuple[tuple[int, str], ...] = ()) -> Plan:
    blocks = (Block(0, 1, 1, step_rows=4, algorithms=algorithms), Block(2, 2, 1, step_rows=12))
    return Plan(net.graph.digest, "m", "planned", blocks)


def test_the_unfused_plan_has_the_same_kernels() -> None:
    net = network()
    found = with_algorithms_of(alone(net), fused(net, ((1, "winograd4"),)))
    assert [block.algorithms for block in found.blocks] == [(), ((1, "winograd4"),), ()]
    assert [block.layers for block in found.blocks] == [range(1), range(1, 2), range(2, 3)]
    assert found.strategy == "all-cores, kernels of planned"


def times(blocks: Sequence[Sequence[float]]) -> PlanTimes:
    """Samples of each block; totals are a tenth more than the blocks' sum."""
    return PlanTimes(tuple(1.1 * sum(sample) for sample in zip(*blocks, strict=True)), tuple(map(tuple, blocks)))


def test_report_of_planted_samples() -> None:
    net = network()
    pair = PlanPair(1, fused(net), alone(net))
    planned = times([[4e-3, 5e-3, 6e-3], [1e-3, 1e-3, 1e-3]])
    unfused = times([[3e-3, 2e-3, 4e-3], [3e-3, 5e-3, 4e-3], [1e-3, 1e-3, 2e-3]])
    report = core_report(net, pair, [Way("kernel", 16, 1, 1 << 10)] * 3, planned, unfused, RATES, host())
    assert [layer.seconds for layer in report.layers] == [2e-3, 3e-3, 1e-3]
    (block,) = report.blocks
    assert (block.first, block.last, block.fused.minimum_seconds) == (0, 1, 4e-3)
    assert block.unfused.minimum_seconds == pytest.approx(6e-3), "sums within a run, not of the layers' fastest"
    assert block.unfused.median_seconds == pytest.approx(7e-3)
    assert report.planned.minimum_seconds == pytest.approx(5.5e-3)
    assert report.unfused.runs == 3


def test_layers_of_equal_algorithm_know_their_time_on_one_core() -> None:
    net = network()
    samples = times([[1e-3], [2e-3], [3e-3]])
    whole = times([[3e-3], [3e-3]])
    ways = [Way("kernel", 16, 1, 1 << 10)] * 3
    one = core_report(net, PlanPair(1, fused(net), alone(net)), ways, whole, samples, RATES, host())
    other = with_algorithms_of(alone(net, cores=2), fused(net, ((1, "winograd4"),)))
    two = core_report(net, PlanPair(2, fused(net), other), ways, whole, samples, TWO_CORES, host())
    _, beside = with_one_core_times([one, two])
    assert [layer.one_core_seconds for layer in beside.layers] == [1e-3, None, 3e-3]
    (unchanged,) = with_one_core_times([two])
    assert unchanged == two


def test_ways_are_those_of_the_kernels() -> None:
    net = network()
    isa = choose_isa()
    plan = alone(net)
    first, second, last = lowered_ways(net, plan, prepare(net, isa, [plan]))
    assert second.kernel == "conv_blocked"
    assert second.lanes == isa.lanes
    assert second.lane_axis == 1
    assert second.weight_bytes >= 16 * 16 * 9 * 4
    assert last.copied_bytes == 16 * 12 * 12 * 4, "the user's array is planar"
    assert first.copied_bytes in (0, 3 * 12 * 12 * 4), "a first layer may need padding around the user's image"


def test_a_model_is_measured_from_end_to_end() -> None:
    stages: list[str] = []
    report = measure_layers(
        network(),
        Options((1,), "fixed-block:2", seconds=0.01),
        progress=lambda stage, done, total: stages.append(stage),
    )
    (entry,) = report.cores
    assert (report.model, report.isa, report.machine) == ("toy", choose_isa().name, host().fingerprint)
    assert entry.strategy.startswith("fixed-block")
    assert len(entry.layers) == 3
    assert all(layer.seconds > 0 and layer.timing.runs >= 3 for layer in entry.layers)
    assert [(block.first, block.last) for block in entry.blocks] == [(0, 1)]
    assert list(dict.fromkeys(stages)) == ["import", "plan", "generate", "build", "run in turns"]


def test_programs_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a wrong result means nothing."""

    def differs(actual: Sequence[Array], expected: Sequence[Array], tolerance: float) -> Verdict:
        return replace(compare(actual, expected, tolerance), difference=1.0, scale=1.0)

    monkeypatch.setattr("dlfusion.runtime.check.compare", differs)
    chosen = Options((1,), "fixed-block:2", seconds=0.01, exact=True)
    with pytest.raises(VerificationError, match=r"toy by the plan fixed-block.* on 1 core, held against") as caught:
        measure_layers(network(), chosen, shapes={"image": (1, 3, 12, 12)})
    command = "dlfusion compile MODEL --strategy fixed-block:2 --cores 1 --exact --shape image=1,3,12,12"
    assert str(caught.value).endswith(f"find the layer with: {command}")


@pytest.mark.skipif("avx2" not in host().isas, reason="this CPU has no avx2")
def test_plans_are_made_for_the_chosen_instruction_set_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy that measures must time the kernels that are measured afterwards."""
    targets: list[CpuTarget] = []
    plan = driver.plan

    def recording(network: Network, target: CpuTarget, strategy: str, *, cores: int, exact: bool) -> Plan:
        assert exact
        targets.append(target)
        return plan(network, target, strategy, cores=cores, exact=exact)

    monkeypatch.setattr(driver, "plan", recording)
    chosen = Options((1,), "fixed-block:2", seconds=0.01, isa="avx2", exact=True, precision="bf16")
    report = measure_layers(network(), chosen)
    assert (report.isa, report.precision) == ("avx2", "bf16")
    assert len(targets) == 2
    assert all("-mavx512f" not in target.setting.flags for target in targets)


def test_more_cores_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--cores 4096"):
        measure_layers(tmp_path / "never-read.onnx", Options((1, 4096)))


def test_pair_of_a_strategy() -> None:
    net = network()
    pair = plan_pair(net, usable_cores(), "fuse-all")
    assert len(pair.planned.blocks) < len(pair.unfused.blocks) == len(net.layers)
    assert driver.plan(net, strategy="all-cores").blocks[0].cores == pair.unfused.blocks[0].cores
