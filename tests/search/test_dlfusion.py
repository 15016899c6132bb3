"""Proves that the joint strategy walks by its rules, repairs within its budget, and is near the optimum."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.fitted import Fitted
from dlfusion.cost.model import Cost, CostModel, plan_seconds
from dlfusion.cost.profile import CoreRule, CostFit, Fit, Profile
from dlfusion.errors import PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Accelerator, Cpu, Machine
from dlfusion.machine.files import load_machine, machine_files
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.plans.legality import check
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import Schedule
from dlfusion.plans.structure import structure
from dlfusion.search import find_strategy
from dlfusion.search.candidates import can_be_block, candidates
from dlfusion.search.contract import ToyCost, toy_accelerator, toy_cpu, toy_problem
from dlfusion.search.dynamic import best_cover
from dlfusion.search.joint_repair import FUSION_DOUBT, Choice, Corrected, cut_reason, fusion_doubt, predict
from dlfusion.search.joint_rows import facts, largest_band, tabulate
from dlfusion.search.joint_times import Pace
from dlfusion.search.problem import Problem
from dlfusion.search.strategies.dlfusion import EVALUATIONS, DLFusion
from dlfusion.targets.simulated.simulator import Simulator
from tests.search.exhaustive import planned
from tests.support.networks import chain, convolution, mobilenet_v2, resnet_50, vgg_head
from tests.support.random_networks import networks
from tests.support.random_plans import ALL_ALGORITHMS

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
NO_FIT = Fit(0, 0.0, 0.0, 0.0)


def mlu100() -> Accelerator:
    return load_machine(machine_files()["mlu100"])


def cpu(cores: int = 2) -> Cpu:
    return Cpu("a CPU", cores, (), 32 << 10, 1 << 20, 32 << 20, 100e9, 80e9, 25e9)


def rule(counts: tuple[int, ...], best: int) -> CoreRule:
    """One count is best for every layer."""
    slowdowns = tuple(abs(math.log2(count / best)) for count in counts)
    return CoreRule(counts, ((-1, 0.0, 0, 0),), (slowdowns,), 0.0, 0.0)


def profile(machine: Machine, best: int, critical: float = 1e15, overlap: float = 1.0) -> Profile:
    cost = CostFit((), overlap, NO_FIT)
    cores = rule(machine.core_counts, best)
    return Profile("planted", machine.fingerprint, True, "", (), "", cost, cores, critical, ())


def problem(network: Network, machine: Machine, best: int | None = None, critical: float = 1e15) -> Problem:
    overlap = 0.5 if isinstance(machine, Cpu) else 1.0
    planted = profile(machine, best or machine.core_counts[-1], critical, overlap)
    return Problem(network, machine, machine.core_counts, Analytic(machine), planted)


def seconds(of: Problem, plan: Plan) -> float:
    return plan_seconds(of.network, plan, of.cost)


def six_layers(height: int = 64, channels: int = 16, kernel: int = 3) -> Network:
    return describe(chain([(channels, kernel, 1)] * 6, height, channels).build())


def walked(of: Problem) -> Plan:
    plan = DLFusion(walk_only=True).plan(of)
    check(of.network, plan, of.limits)
    return plan


# --- the walk -------------------------------------------------------------------------------------------------------


def test_the_walk_closes_a_block_at_the_critical_operation_count_per_core() -> None:
    network = six_layers()
    per_layer = network.layers[0].features.operations
    plan = walked(problem(network, cpu(), best=2, critical=1.5 * per_layer))
    assert [len(block.layers) for block in plan.blocks] == [3, 3]
    assert plan.blocks[0].reason == "28.3 M operations per core pass the critical 28.3 M"
    assert all(block.cores == 2 for block in plan.blocks)
    alone = walked(problem(network, cpu(), best=1, critical=per_layer))
    assert [len(block.layers) for block in alone.blocks] == [1] * 6


def test_the_walk_predicts_cores_from_operations_and_channels() -> None:
    """A tree that gives layers of few channels one core and all others four."""
    counts = (1, 2, 3, 4)
    few, many = (0.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 0.0)
    tree = CoreRule(counts, ((1, 4.0, 1, 2), (-1, 0.0, 0, 0), (-1, 0.0, 1, 1)), (few, many), 0.0, 0.0)
    network = describe(chain([(8, 3, 1), (64, 3, 1), (64, 3, 1)], 32, 8).build())
    given_problem = problem(network, cpu(4), critical=1.0)
    assert given_problem.profile is not None
    plan = walked(replace(given_problem, profile=replace(given_problem.profile, cores=tree)))
    assert [block.cores for block in plan.blocks] == [1, 4, 4]


def test_the_walk_closes_a_block_that_would_not_be_legal() -> None:
    builder = GraphBuilder("pooled")
    value = convolution(builder, builder.input("x", (1, 8, 32, 32)), 8, 3)
    value = builder.node(GlobalAveragePool(), [convolution(builder, value, 8, 3)])
    builder.output(value)
    pooled = walked(problem(describe(builder.build()), cpu(), best=1))
    assert [(block.first, block.last) for block in pooled.blocks] == [(0, 1), (2, 2)]
    assert pooled.blocks[0].reason == "the next layer, GlobalAveragePool, reads its whole input for every row"
    # Six rows of 32 columns of 16 channels, in elements of two bytes: more than the first two layers hold.
    small = replace(toy_accelerator(), buffer_bytes=14 << 10)
    crowded = walked(problem(describe(chain([(16, 3, 1)] * 6, 32, 16).build()), small, best=1))
    assert 1 < len(crowded.blocks) < 6
    assert "would not fit the memory of a core" in crowded.blocks[0].reason


def test_the_walk_closes_a_block_where_recomputing_outweighs_traffic() -> None:
    """Bands of one row recompute most of what they need."""
    network = describe(chain([(64, 5, 1)] * 6, 8, 64).build())
    plan = walked(problem(network, cpu(8), best=8))
    assert len(plan.blocks) > 3
    assert "with the next layer, on 8 cores, each would compute for" in plan.blocks[0].reason
    assert len(walked(problem(network, cpu(1), best=1)).blocks) == 1


def test_the_walk_stops_at_the_longest_block() -> None:
    network = describe(chain([(4, 1, 1)] * 30, 64, 4).build())
    plan = walked(problem(network, cpu(1)))
    longest = max(len(block.layers) for block in plan.blocks)
    assert longest == len(plan.blocks[0].layers)
    assert plan.blocks[0].reason == f"{longest} layers, the most of a block"


# --- the tables -----------------------------------------------------------------------------------------------------


@given(rows=st.integers(1, 300), cores=st.integers(1, 64))
def test_the_largest_band_has_the_most_rows(rows: int, cores: int) -> None:
    first, end = largest_band(rows, cores)
    bands = [(rows * core // cores, rows * (core + 1) // cores) for core in range(cores)]
    if cores > rows:
        assert (first, end) == (0, 0)
    else:
        assert (first, end) in bands
        assert end - first == max(b - a for a, b in bands)


def batch() -> GraphBuilder:
    """Several images: bands are cut from all of them, steps from one."""
    return chain([(64, 3, 1), (128, 3, 2), (128, 1, 1), (256, 3, 2), (256, 3, 1)], 56, 64, images=4)


@pytest.mark.parametrize("machine", [mlu100(), cpu(4)], ids=["mlu100", "cpu"])
@pytest.mark.parametrize("build", [resnet_50, mobilenet_v2, batch])
def test_closed_forms_agree_with_the_analytic_model(machine: Machine, build: Callable[[], GraphBuilder]) -> None:
    """Of 150 entries drawn at random, most are the model's to two hundredths, and few are illegal."""
    network = describe(build().build())
    made = problem(network, machine)
    choices = corrected(made, 8)
    predicted = choices.seconds
    drawn = np.random.default_rng(1).permutation(np.argwhere(np.isfinite(predicted)))[:150]
    entries = [Choice(*(int(i) for i in entry)) for entry in drawn]
    exact = np.array([predict(made, choices.block(entry)) for entry in entries])
    ratios = np.array([predicted[entry.entry] for entry in entries]) / exact
    legal = np.isfinite(exact)
    assert legal.mean() > 0.85
    assert np.mean(np.abs(ratios[legal] - 1) < 0.02) > 0.75
    assert np.quantile(np.abs(ratios[legal] - 1), 0.95) < 0.2


@pytest.mark.parametrize("sizes", [("winograd6",), ("winograd4",), ("winograd2",), ALL_ALGORITHMS[1:]])
@pytest.mark.parametrize("build", [resnet_50, vgg_head, batch])
def test_closed_forms_agree_with_the_analytic_model_of_layers_in_tiles(
    build: Callable[[], GraphBuilder], sizes: tuple[str, ...]
) -> None:
    """Of those with layers in tiles, which is what the analytic model chooses."""
    made = replace(problem(describe(build().build()), cpu(4)), algorithms=("direct", *sizes))
    assert made.profile is not None
    factors = tuple((name, 1.3 + 0.1 * k) for k, name in enumerate(ALL_ALGORITHMS[1:]))
    fit = replace(made.profile.cost, factors=factors)
    made = replace(made, cost=Fitted(made.machine, fit), profile=replace(made.profile, cost=fit))
    tiled = np.array([name != "direct" for name in made.chosen_algorithms])
    assert tiled.any()
    choices = corrected(made, 8)
    entries = [Choice(*(int(i) for i in entry)) for entry in np.argwhere(np.isfinite(choices.seconds))]
    entries = [entry for entry in entries if tiled[entry.first : entry.last + 1].any()]
    drawn = [entries[i] for i in np.random.default_rng(1).permutation(len(entries))[:120]]
    exact = np.array([predict(made, choices.block(entry)) for entry in drawn])
    errors = np.abs(np.array([choices.seconds[entry.entry] for entry in drawn]) / exact - 1)[np.isfinite(exact)]
    assert len(errors) > 80
    assert np.mean(errors < 0.02) > 0.75
    assert np.quantile(errors, 0.95) < 0.2


def test_what_was_checked_stays_what_the_model_says() -> None:
    """Later checks of the same range scale the entries that were not checked, and only those."""
    made = problem(describe(mobilenet_v2().build()), mlu100())
    choices = corrected(made, 4)
    last, depth = 30, 2
    cuts = np.argwhere(np.isfinite(choices.seconds[last, depth]))[::2]
    checked = [Choice(last, depth, *(int(i) for i in cut)) for cut in cuts]
    assert len(checked) > 5
    for choice in checked:
        choices.check(choice)
    for choice in checked:
        assert choices.seconds[choice.entry] == pytest.approx(predict(made, choices.block(choice)), rel=1e-9)
    choices.drop_unchecked()
    kept = np.argwhere(np.isfinite(choices.seconds[last, depth])).tolist()
    assert kept == [list(choice.entry[2:]) for choice in checked if np.isfinite(choices.seconds[choice.entry])]


@pytest.mark.parametrize("images", [1, 4])
def test_a_batch_is_cut_into_the_steps_that_were_predicted(images: int) -> None:
    """Four cores have an image each of four: a step of half an image is not a whole band."""
    made = problem(describe(chain([(64, 3, 1)] * 2, 16, 64, images).build()), mlu100())
    choices = corrected(made, 2)
    four, eight = made.core_counts.index(4), choices.tables.steps.index(8)
    block = choices.block(Choice(1, 1, 0, four, eight))
    assert (block.cores, block.step_rows) == (4, 16 if images == 1 else 8)


def test_columns_of_a_batch_are_those_of_one_image() -> None:
    """Steps go through one image at a time, so that the buffer needs no more for several."""
    small = replace(mlu100(), buffer_bytes=64 << 10)
    seconds = []
    for images in (1, 4):
        made = problem(describe(chain([(64, 3, 1)], 56, 64, images).build()), small)
        choice = Choice(0, 0, 1, made.core_counts.index(4), 0)
        choices = corrected(made, 1)
        assert choices.seconds[choice.entry] == pytest.approx(predict(made, choices.block(choice)), rel=0.05)
        seconds.append(float(choices.seconds[choice.entry]))
    assert seconds[1] < 4 * seconds[0]


def corrected(made: Problem, longest: int) -> Corrected:
    """The closed forms of a problem, nothing checked yet."""
    assert made.profile is not None
    named = made.algorithms_of(0, len(made.network.layers) - 1)
    pace = Pace(made.machine, made.network, made.profile.cost, named)
    counts = made.core_counts
    known = facts(made.network, made.machine.element_bytes, named)
    tables = tabulate(known, counts, longest, pace.layer_seconds)
    by_rows = np.where(tables.legal[..., None], pace.rows(known, tables, counts), np.inf)
    if made.limits.on_chip_bytes is not None:
        by_rows[:, 1:][tables.held_bytes[:, 1:] > made.limits.on_chip_bytes] = np.inf
    by_channels = np.full_like(by_rows, np.inf)
    by_channels[:, :1] = pace.channels(known, counts, tables.steps)
    return Corrected(made, known, tables, counts, np.stack([by_rows, by_channels], axis=2), 0)


# --- the whole strategy ---------------------------------------------------------------------------------------------


@settings(COMMON, max_examples=60)
@given(
    network=networks(8),
    machine=st.sampled_from([toy_cpu(), toy_accelerator(), cpu(3), mlu100()]),
    toy=st.booleans(),
)
def test_plans_are_legal_repeatable_and_no_slower_than_layers_alone(
    network: Network, machine: Machine, toy: bool
) -> None:
    """Whatever the cost model says, even one that the closed forms know nothing of."""
    made = replace(toy_problem(network, machine), cost=ToyCost(machine)) if toy else problem(network, machine)
    plan = planned("dlfusion", made)
    check(network, plan, made.limits)
    assert planned("dlfusion", made) == plan
    assert all(block.reason for block in plan.blocks)
    for other in ("baseline", "all-cores"):
        assert seconds(made, plan) <= seconds(made, planned(other, made)) * (1 + 1e-9)
    check(network, planned("dlfusion:walk", made), made.limits)


def test_a_cut_that_looks_slower_than_fusing_says_why_it_stays() -> None:
    assert cut_reason(10e-6, 12e-6) == "repair: 10.0 us with this cut, 12.0 us as one block with the next"
    doubted = cut_reason(10e-6, 9.7e-6)
    assert doubted.startswith("repair: 10.0 us with this cut, 9.7 us as one block with the next, which gains less")
    assert "the 5 % that fusing must gain" in doubted


def test_fusing_is_in_doubt_as_far_as_caches_hold_the_maps_between_layers() -> None:
    machine = replace(cpu(2), l3_bytes=1 << 20)  # of which half is ours: maps of 8 channels fit up to 128 x 128
    network = describe(chain([(8, 3, 1), (8, 3, 2), (8, 3, 1)], 256, 8, 1).build())
    doubt = fusion_doubt(machine, facts(network, machine.element_bytes), 3)
    assert doubt[:, 0].tolist() == [0, 0, 0]  # layers alone
    assert doubt[1:, 1].tolist() == [0, FUSION_DOUBT]  # the first map is 256 x 256, the second 128 x 128
    assert doubt[2, 2] == FUSION_DOUBT / 2
    assert not fusion_doubt(mlu100(), facts(network, 4), 3).any()


@dataclass
class Counting:
    """A cost model that counts the blocks that it is asked about."""

    model: CostModel
    asked: list[Schedule] = field(default_factory=list)
    name: str = "counting"
    assumptions: tuple[str, ...] = ()

    def block(self, network: Network, cut: Schedule) -> Cost:
        self.asked.append(cut)
        return self.model.block(network, cut)


@pytest.mark.parametrize("machine", [mlu100(), cpu(8)], ids=["mlu100", "cpu"])
def test_the_budget_of_evaluations_is_kept(machine: Machine) -> None:
    """Fused blocks count here; layers alone are asked about once more to compare with plans of them."""
    made = problem(describe(mobilenet_v2().build()), machine)
    counting = Counting(made.cost)
    planned("dlfusion", replace(made, cost=counting))
    fused = [cut for cut in counting.asked if cut.block.first < cut.block.last]
    assert 0 < len(fused) <= EVALUATIONS


def test_a_spent_budget_leaves_a_legal_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlfusion.search.strategies.dlfusion.EVALUATIONS", 3)
    for machine in (mlu100(), cpu(2)):
        made = problem(describe(mobilenet_v2().build()), machine)
        check(made.network, planned("dlfusion", made), made.limits)


@pytest.mark.parametrize("machine", [toy_cpu(), toy_accelerator(), cpu(2)], ids=["toy CPU", "toy accelerator", "CPU"])
def test_plans_are_near_the_optimum_of_the_cost_model(machine: Machine) -> None:
    made = problem(describe(resnet_50_head().build()), machine)
    best = seconds(made, planned("dp:12", made))
    assert seconds(made, planned("dlfusion", made)) <= 1.03 * best


def resnet_50_head() -> GraphBuilder:
    """A chain, a residual and strides: what ResNets are made of, small."""
    builder = GraphBuilder("head")
    value = convolution(builder, builder.input("x", (1, 3, 48, 48)), 16, 7, stride=2)
    for channels, stride in ((16, 1), (32, 2), (32, 1)):
        inner = convolution(builder, value, channels // 2, 1)
        inner = convolution(builder, inner, channels // 2, 3, stride=stride)
        value = convolution(builder, inner, channels, 1)
    builder.output(value)
    return builder


def test_plans_are_near_the_oracle_of_a_simulated_machine() -> None:
    """The simulator is another model than the one that the strategy predicts with; blocks of up to 6 layers count."""
    machine = load_machine(machine_files()["two_level"])
    made = problem(describe(small_mobile().build()), machine)
    simulator = Simulator(made.network, machine)
    known: dict[str, float] = {}

    def simulated(block: Block) -> float:
        digest = structure(made.network, block)
        if digest not in known:
            known[digest] = simulator.simulate(block).seconds
        return known[digest]

    def fastest(first: int, last: int) -> tuple[float, Block] | None:
        if last - first >= 6 or not can_be_block(made, first, last):
            return None
        options = ((simulated(block), block) for block in candidates(made, first, last))
        return min(options, key=lambda option: option[0], default=None)

    oracle = sum(simulated(block) for block in best_cover(len(made.network.layers), fastest))
    assert sum(simulated(block) for block in planned("dlfusion", made).blocks) <= 1.1 * oracle


def small_mobile() -> GraphBuilder:
    """Inverted residuals of three sizes, without the sums."""
    builder = GraphBuilder("mobile")
    value = convolution(builder, builder.input("x", (1, 3, 96, 96)), 16, 3, stride=2)
    for channels, stride in ((16, 1), (24, 2), (32, 2), (64, 2), (64, 1)):
        inner = convolution(builder, value, channels * 4, 1)
        inner = convolution(builder, inner, channels * 4, 3, stride=stride, groups=channels * 4)
        value = convolution(builder, inner, channels, 1)
    builder.output(value)
    return builder


def test_heavy_weights_are_shared_by_channels() -> None:
    network = describe(chain([(512, 3, 1)], 4, 512).build())
    (block,) = planned("dlfusion", problem(network, mlu100())).blocks
    assert block.partition is Partition.CHANNELS
    assert block.cores > 1


def test_the_walk_is_no_better_than_the_repair() -> None:
    for machine in (mlu100(), cpu(2)):
        made = problem(describe(mobilenet_v2().build()), machine)
        assert seconds(made, planned("dlfusion", made)) <= seconds(made, planned("dlfusion:walk", made)) * 1.001


def test_no_profile_is_an_error_that_names_the_command() -> None:
    made = replace(problem(six_layers(), cpu()), profile=None)
    with pytest.raises(PlanError, match="run `dlfusion characterize`"):
        planned("dlfusion", made)


def test_a_layer_that_no_core_count_can_share_is_an_error_that_names_it() -> None:
    builder = GraphBuilder("pooled")
    value = convolution(builder, builder.input("x", (1, 3, 8, 8)), 3, 3)
    builder.output(builder.node(GlobalAveragePool(), [value]))
    made = replace(problem(describe(builder.build()), cpu(4)), core_counts=(4,))
    with pytest.raises(PlanError, match="cannot be cut over any of the core counts 4"):
        planned("dlfusion", made)


def test_an_argument_that_is_of_no_use_is_an_error() -> None:
    with pytest.raises(PlanError, match="the only argument is `walk`"):
        find_strategy("dlfusion:run")
