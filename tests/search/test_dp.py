"""Proves that `dp` finds the optimum: it equals the enumeration of all plans on small random graphs."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.cost.model import Cost, plan_seconds
from dlfusion.errors import PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Machine
from dlfusion.plans.legality import check
from dlfusion.plans.plan import Plan
from dlfusion.plans.schedule import Schedule, schedule
from dlfusion.search import find_strategy
from dlfusion.search.contract import ToyCost, toy_accelerator, toy_cpu, toy_problem
from dlfusion.search.problem import Problem
from tests.search.exhaustive import RandomCost, cheapest_seconds, covers, legal_blocks, planned
from tests.support.networks import convolution
from tests.support.random_networks import networks, tiled_networks
from tests.support.random_plans import ALL_ALGORITHMS

MACHINES = st.one_of(
    st.just(toy_cpu()),
    # So little memory that fused blocks are legal with small steps only, or not at all.
    st.builds(lambda size: replace(toy_accelerator(), buffer_bytes=size), st.sampled_from((16, 40, 80, 200, 6144))),
)
SMALL = networks(8).filter(lambda network: len(network.layers) <= 8)
COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def dp(problem: Problem, argument: str = "dp") -> Plan:
    plan = planned(argument, problem)
    check(problem.network, plan, problem.limits)
    return plan


def problem_of(network: Network, machine: Machine, seed: int | None, algorithms: tuple[str, ...] = ()) -> Problem:
    cost = ToyCost(machine) if seed is None else RandomCost(seed)
    return replace(toy_problem(network, machine, algorithms), cost=cost)


def same(problem: Problem, plan: Plan, longest: int | None = None) -> bool:
    return plan_seconds(problem.network, plan, problem.cost) == pytest.approx(cheapest_seconds(problem, longest))


@settings(COMMON, max_examples=40)
@given(network=SMALL, machine=MACHINES, seed=st.sampled_from((None, 1, 2)))
def test_equals_exhaustive_enumeration(network: Network, machine: Machine, seed: int | None) -> None:
    problem = problem_of(network, machine, seed)
    assert same(problem, dp(problem))


@settings(COMMON, max_examples=20)
@given(network=tiled_networks(5), seed=st.sampled_from((None, 1, 2)))
def test_equals_exhaustive_enumeration_with_algorithms(network: Network, seed: int | None) -> None:
    problem = problem_of(network, toy_cpu(), seed, ALL_ALGORITHMS)
    assert same(problem, dp(problem))


@settings(COMMON, max_examples=20)
@given(network=SMALL, machine=MACHINES, longest=st.integers(1, 3))
def test_equals_exhaustive_enumeration_of_short_blocks(network: Network, machine: Machine, longest: int) -> None:
    problem = problem_of(network, machine, 3)
    plan = dp(problem, f"dp:{longest}")
    assert max(len(block.layers) for block in plan.blocks) <= longest
    assert same(problem, plan, longest)


def test_equals_the_product_of_all_choices_written_out() -> None:
    """Without using that the times of blocks add up."""
    builder = GraphBuilder("three")
    value = builder.input("x", (1, 2, 4, 4))
    for _ in range(3):
        value = convolution(builder, value, 2, 3)
    builder.output(value)
    problem = problem_of(describe(builder.build()), replace(toy_accelerator(), core_counts=(1, 2)), 5)
    seconds = [
        sum(problem.cost.block(problem.network, schedule(problem.network, block)).seconds for block in blocks)
        for cover in covers(3)
        for blocks in product(*(legal_blocks(problem, *part) for part in cover))
    ]
    assert len(seconds) > 1000
    assert plan_seconds(problem.network, dp(problem), problem.cost) == pytest.approx(min(seconds))


def test_equal_ranges_are_evaluated_once() -> None:
    builder = GraphBuilder("alike")
    value = builder.input("x", (1, 4, 8, 8))
    for _ in range(6):
        value = convolution(builder, value, 4, 3)
    builder.output(value)
    asked: list[tuple[int, int]] = []

    class Counting(RandomCost):
        def block(self, network: Network, cut: Schedule) -> Cost:
            asked.append((cut.block.first, cut.block.last))
            return super().block(network, cut)

    problem = replace(toy_problem(describe(builder.build()), toy_cpu()), cost=Counting())
    dp(problem)
    # Those that read the model's input or write its output are not like the others.
    inner = {(first, last) for first, last in asked if last < 5}
    assert inner == {(first, last) for last in range(5) for first in (0, 1) if first <= last}


def test_reasons_say_what_decided() -> None:
    builder = GraphBuilder("never fuse")
    value = builder.input("x", (1, 4, 8, 8))
    for _ in range(2):
        value = convolution(builder, value, 4, 3)
    builder.output(value)
    network = describe(builder.build())
    apart = dp(toy_problem(network, toy_cpu())).blocks[0].reason
    assert apart.startswith("apart, this block and the next are predicted to take ")
    small = dp(toy_problem(network, replace(toy_accelerator(), buffer_bytes=16))).blocks
    assert small[0].reason.startswith("with the next block, the rows under way need ")
    short = dp(toy_problem(network, toy_cpu()), "dp:1").blocks
    assert short[0].reason == "with the next block, there would be 2 layers to a block"
    assert short[1].reason == "last layer of the network"


@pytest.mark.parametrize("argument", ["", "0", "-2", "many"])
def test_arguments_of_no_use(argument: str) -> None:
    with pytest.raises(PlanError, match="1 or more, as `dp:12`"):
        find_strategy(f"dp:{argument}")
