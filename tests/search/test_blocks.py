"""Proves how blocks are cut on machines with core counts and memories of their own."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.cost.model import plan_seconds
from dlfusion.errors import PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import check, problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.search.blocks import fused, runs, single, usable_cores
from dlfusion.search.contract import toy_accelerator, toy_cpu, toy_problem, toy_problems
from tests.search.exhaustive import legal_blocks, planned
from tests.support.networks import convolution
from tests.support.random_networks import networks

ALL = ("baseline", "all-cores", "layer-cores", "fuse-all", "fixed-block", "fixed-block:2")


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(network=networks(), size=st.sampled_from((16, 40, 80, 200, 6144)), most=st.sampled_from((1, 2, 4)))
def test_plans_keep_the_limits_of_an_accelerator(name: str, network: Network, size: int, most: int) -> None:
    problem = toy_problem(network, replace(toy_accelerator(), buffer_bytes=size))
    counts = tuple(count for count in problem.core_counts if count <= most)
    problem = replace(problem, core_counts=counts)
    plan = planned(name, problem)
    check(network, plan, problem.limits)
    assert plan == planned(name, problem)


def tower(layers: int, height: int = 20, channels: int = 8) -> Network:
    builder = GraphBuilder("tower")
    value = builder.input("x", (1, channels, height, height))
    for _ in range(layers):
        value = convolution(builder, value, channels, 3)
    builder.output(value)
    return describe(builder.build())


def test_the_largest_allowed_core_count_that_the_block_can_use() -> None:
    problem = toy_problem(tower(2, height=3), toy_accelerator())
    assert [usable_cores(problem, most) for most in (0, 1, 3, 4, 9)] == [None, 1, 2, 4, 4]
    assert fused(problem, 0, 1, 4, "why").cores == 2  # of three rows


def test_a_run_ends_where_the_next_layer_would_not_fit_on_the_chip() -> None:
    problem = toy_problem(tower(6), toy_accelerator())
    found = runs(problem, 4)
    assert len(found) > 1
    for first, last, reason in found[:-1]:
        assert not problems(problem.network, Block(first, last, 4), problem.limits)
        assert problems(problem.network, Block(first, last + 1, 4), problem.limits)
        assert reason.startswith("with the next layer, the rows under way need ")
    assert runs(toy_problem(tower(6), toy_cpu()), 3) == [(0, 5, "last layer of the network")]


def test_a_layer_alone_takes_partition_and_step_of_least_predicted_time_on_the_most_cores() -> None:
    problem = toy_problems()[1]
    for index, cores in ((0, 1), (1, 2), (4, 4)):
        block = single(problem, index, cores, "why")
        rivals = [rival for rival in legal_blocks(problem, index, index) if rival.cores == cores]
        times = [plan_seconds(problem.network, problem.plan("", (rival,)), problem.cost) for rival in rivals]
        assert block.cores == cores
        assert plan_seconds(problem.network, problem.plan("", (block,)), problem.cost) == pytest.approx(min(times))


def test_a_fused_block_takes_the_legal_step_of_least_predicted_time() -> None:
    problem = toy_problem(tower(4), toy_accelerator())
    block = fused(problem, 0, 2, 2, "why")
    rivals = [rival for rival in legal_blocks(problem, 0, 2) if rival.cores == 2]
    times = [plan_seconds(problem.network, problem.plan("", (rival,)), problem.cost) for rival in rivals]
    assert plan_seconds(problem.network, problem.plan("", (block,)), problem.cost) == pytest.approx(min(times))
    assert block.reason == "why"


def test_core_counts_that_no_cut_of_a_layer_can_use() -> None:
    problem = replace(toy_problem(tower(2, height=2, channels=3), toy_accelerator()), core_counts=(4,))
    with pytest.raises(PlanError, match=r"Layer 0 \(.*\) cannot be cut over any of the core counts 4; allow a smaller"):
        single(problem, 0, 4, "why")
    with pytest.raises(PlanError, match="fewer rows than any core count allowed"):
        fused(problem, 0, 1, 4, "why")


def test_channels_where_rows_are_too_few_for_the_only_core_count() -> None:
    problem = replace(toy_problem(tower(1, height=2, channels=4), toy_accelerator()), core_counts=(4,))
    block = single(problem, 0, 4, "why")
    assert (block.cores, block.partition) == (4, Partition.CHANNELS)
