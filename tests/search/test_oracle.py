"""The oracle finds the optimum of all that it may try, and counts what brute force would take."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.cost.model import plan_seconds
from dlfusion.errors import PlanError
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Cpu, Machine
from dlfusion.plans.legality import check, problems
from dlfusion.plans.schedule import block_flow
from dlfusion.plans.structure import structure
from dlfusion.search import find_strategy
from dlfusion.search.candidates import candidates
from dlfusion.search.choices import Choices, brute_force_count, few_core_counts
from dlfusion.search.contract import toy_accelerator, toy_cpu, toy_problem, toy_problems
from dlfusion.search.problem import Problem
from dlfusion.search.strategies.oracle import Oracle
from dlfusion.search.strategy import TimeBlocks
from tests.search.exhaustive import RandomCost, covers, legal_blocks
from tests.search.measuring import block_seconds, measured
from tests.support.networks import chain
from tests.support.random_networks import networks

MACHINES = (toy_cpu(), toy_accelerator())


def small(machine: Machine) -> Problem:
    return toy_problem(describe(chain(((8, 3, 1), (8, 3, 2), (8, 1, 1), (4, 3, 1)), height=16).build()), machine)


def least_by_trying(problem: Problem, device: Problem, longest: int) -> float:
    """The least time of all covers, each block of a cover the fastest that the oracle may try."""
    choices = Choices(problem, longest)
    table = {
        place: min(block_seconds(block, device) for block in choices.of(*place))
        for place in choices.ranges()
        if choices.of(*place)
    }
    count = len(problem.network.layers)
    return min(sum(table.get(part, float("inf")) for part in cover) for cover in covers(count))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(network=networks(), seed=st.integers(0, 9))
def test_it_equals_exhaustive_search(machine: Machine, network: Network, seed: int) -> None:
    if len(network.layers) > 8:
        return
    problem = toy_problem(network, machine)
    device = replace(problem, cost=RandomCost(seed))
    for longest in (8, 2):
        found = measured(Oracle(longest), problem, device)
        assert found.plan is not None
        check(network, found.plan, problem.limits)
        assert max(len(block.layers) for block in found.plan.blocks) <= longest
        least = least_by_trying(problem, device, longest)
        assert plan_seconds(network, found.plan, device.cost) == pytest.approx(least)


def test_on_an_accelerator_nothing_legal_is_left_out() -> None:
    problem = small(toy_accelerator())
    asked = set(measured(Oracle(), problem, problem).blocks)
    for last in range(4):
        for first in range(last + 1):
            legal = {structure(problem.network, block) for block in legal_blocks(problem, first, last)}
            tried = {structure(problem.network, b) for b in asked if (b.first, b.last) == (first, last)}
            assert tried == legal


def test_with_caches_steps_are_few_and_the_rule_of_other_strategies_is_among_them() -> None:
    problem = small(toy_cpu())
    asked = measured(Oracle(), problem, problem).blocks
    assert all(not problems(problem.network, block, problem.limits) for block in asked)
    for name in ("baseline", "all-cores", "fuse-all", "fixed-block:2"):
        strategy = find_strategy(name)
        assert hasattr(strategy, "plan")
        tried = {structure(problem.network, block) for block in asked}
        assert {structure(problem.network, block) for block in strategy.plan(problem).blocks} <= tried
    per_choice: dict[tuple[int, int, int, str], set[int]] = {}
    for block in asked:
        key = (block.first, block.last, block.cores, block.partition)
        per_choice.setdefault(key, set()).add(block.step_rows)
    for (first, last, *_), steps in per_choice.items():
        assert len(steps) <= (1 if first == last else 4)


def test_without_any_answer_it_falls_back_on_predictions() -> None:
    for problem in toy_problems():
        found = measured(Oracle(), problem, problem, most=0)
        assert found.plan is not None
        check(problem.network, found.plan, problem.limits)
        assert len(found.requests) == 1
        assert all("measured" not in block.reason for block in found.plan.blocks)


def test_a_budget_leaves_the_optimum_of_what_was_measured() -> None:
    problem = small(toy_cpu())
    partial = measured(Oracle(), problem, problem, most=2)
    whole = measured(Oracle(2), problem, problem)
    assert partial.plan is not None
    assert whole.plan is not None
    assert [replace(block, reason="") for block in partial.plan.blocks] == [
        replace(block, reason="") for block in whole.plan.blocks
    ]


def test_requests_go_from_short_blocks_to_long_ones() -> None:
    problem = small(toy_cpu())
    requests = measured(Oracle(3), problem, problem).requests
    lengths = [
        {len(block.layers) for block in request.blocks} for request in requests if isinstance(request, TimeBlocks)
    ]
    assert lengths == [{1}, {2}, {3}]
    # No block is longer than the network, so that a greater number asks nothing more.
    assert measured(Oracle(999_999_999), problem, problem).requests == measured(Oracle(4), problem, problem).requests


def test_reasons_tell_measured_times() -> None:
    problem = small(toy_cpu())
    plan = measured(Oracle(1), problem, problem).plan
    assert plan is not None
    seconds = [block_seconds(block, problem) for block in plan.blocks]
    assert plan.blocks[0].reason.startswith(f"measured: {(seconds[0] + seconds[1]) * 1e6:.1f} us with the next block")
    assert plan.blocks[-1].reason == "last layer of the network"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_brute_force_is_counted_exactly(machine: Machine) -> None:
    problem = small(machine)
    by_trying = 0
    for cover in covers(4):
        by_trying += sum(1 for _ in product(*(candidates(problem, *part) for part in cover)))
    assert brute_force_count(problem) == by_trying > 1000


def test_many_core_counts_are_thinned() -> None:
    machine = Cpu("large CPU", 48)
    problem = small(machine)
    assert few_core_counts(problem) == (1, 2, 4, 8, 16, 32, 48)
    assert few_core_counts(small(toy_cpu())) == (1, 2, 3)
    assert {block.cores for block in Choices(problem, 2).of(0, 1)} == {1, 2, 4, 8}


def test_equal_ranges_share_their_blocks() -> None:
    network = describe(chain(((8, 3, 1),) * 5, height=16).build())
    problem = toy_problem(network, toy_cpu())
    choices = Choices(problem, 3)
    moved = [replace(block, first=2, last=3) for block in choices.of(1, 2)]
    assert list(choices.of(2, 3)) == moved
    assert block_flow(network, moved[0]).values == tuple(network.layers[index].output for index in (2, 3))


@pytest.mark.parametrize("argument", ["0", "-1", "x", "", "9" * 5000])
def test_a_wrong_length_is_refused(argument: str) -> None:
    with pytest.raises(PlanError, match="oracle:6"):
        find_strategy(f"oracle:{argument}")
    assert find_strategy("oracle:6") == Oracle(6)
    assert find_strategy("oracle") == Oracle(8)
