"""`tuned` keeps its promise, learns where predictions are wrong, and keeps its budget."""

from dataclasses import dataclass, replace

import pytest

from dlfusion.cost.model import Cost, Term
from dlfusion.errors import PlanError
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Machine
from dlfusion.plans.legality import check, problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import Schedule
from dlfusion.search import find_strategy
from dlfusion.search.choices import Choices, few_core_counts
from dlfusion.search.contract import toy_accelerator, toy_cpu, toy_problem, toy_problems
from dlfusion.search.dynamic import best_cover
from dlfusion.search.problem import Problem
from dlfusion.search.strategies.oracle import Oracle
from dlfusion.search.strategies.tuned import LONGEST, Tuned
from dlfusion.search.strategy import TimeBlocks, TimePlans
from tests.search.exhaustive import RandomCost, Stated
from tests.search.measuring import block_seconds, measured
from tests.support.networks import chain
from tests.support.random_plans import ALL_ALGORITHMS

MACHINES = (toy_cpu(), toy_accelerator())


def network(layers: int = 6) -> Network:
    return describe(chain(((8, 3, 1),) * layers, height=16).build())


def plan_seconds(plan: Plan | None, device: Problem) -> float:
    assert plan is not None
    return sum(block_seconds(block, device) for block in plan.blocks)


def best_unfused(problem: Problem, device: Problem) -> float:
    """The least time of every layer alone."""
    choices = Choices(problem, 1)
    return sum(
        min(block_seconds(block, device) for block in choices.of(index, index))
        for index in range(len(problem.network.layers))
    )


def best_with_one_count(problem: Problem, device: Problem, cores: int) -> float:
    """The least time of all covers by blocks on just so many cores."""
    choices = Choices(problem, LONGEST)
    places = set(choices.ranges())

    def option(first: int, last: int) -> tuple[float, Block] | None:
        blocks = [block for block in choices.of(first, last) if block.cores == cores] if (first, last) in places else []
        return min(((block_seconds(block, device), block) for block in blocks), key=lambda pair: pair[0], default=None)

    return sum(block_seconds(block, device) for block in best_cover(len(problem.network.layers), option))


@dataclass(frozen=True, slots=True)
class Misled:
    """The device is the toy machine, but whatever is fused or on several cores takes `factor` times as long."""

    inner: Problem
    factor: float
    name: str = "misled"
    assumptions: tuple[str, ...] = ()

    def block(self, network: Network, cut: Schedule) -> Cost:
        """The toy's time, perhaps longer."""
        seconds = self.inner.cost.block(network, cut).seconds
        punished = len(cut.block.layers) > 1 or cut.block.cores > 1
        return Cost((Term("all", seconds * (self.factor if punished else 1.0)),))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("seed", range(4))
def test_it_is_never_worse_than_what_it_promises(machine: Machine, seed: int) -> None:
    problem = toy_problem(network(), machine)
    device = replace(problem, cost=RandomCost(seed))  # the predictions say nothing about this device
    found = measured(Tuned(), problem, device)
    assert found.plan is not None
    check(problem.network, found.plan, problem.limits)
    seconds = plan_seconds(found.plan, device)
    assert seconds <= best_unfused(problem, device) * (1 + 1e-9)
    assert seconds == pytest.approx(min(plan_seconds(plan, device) for plan in found.plans))
    for count in few_core_counts(problem):
        unfused = [plan for plan in found.plans if {block.cores for block in plan.blocks} == {count}]
        assert unfused
        assert seconds <= min(plan_seconds(plan, device) for plan in unfused) * (1 + 1e-9)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_with_good_or_misleading_predictions_it_finds_the_optimum(machine: Machine, factor: float) -> None:
    problem = toy_problem(network(), machine)
    device = replace(problem, cost=Misled(problem, factor))
    tuned, oracle = measured(Tuned(), problem, device), measured(Oracle(LONGEST), problem, device)
    assert plan_seconds(tuned.plan, device) == pytest.approx(plan_seconds(oracle.plan, device), rel=0.02)
    for count in few_core_counts(problem):
        assert plan_seconds(tuned.plan, device) <= best_with_one_count(problem, device, count) * 1.02
    assert len(set(tuned.blocks)) < len(set(oracle.blocks))


def test_blocks_use_the_algorithms_that_were_measured_fastest_alone() -> None:
    """Whatever was predicted to be fastest."""
    tiled = describe(chain(((16, 3, 1),) * 3, height=24, channels=16).build())
    believed = {"direct": 2.7, "winograd2": 2.5, "winograd4": 2.2, "winograd6": 2.0}
    problem = replace(toy_problem(tiled, toy_cpu(), ALL_ALGORITHMS), cost=Stated(believed))
    device = replace(problem, cost=Stated({**believed, "winograd4": 1.5}))
    found = measured(Tuned(), problem, device)
    assert found.plan is not None
    check(tiled, found.plan, problem.limits)
    (block,) = found.plan.blocks
    assert block.algorithms == tuple((index, "winograd4") for index in range(3))


def test_no_block_is_asked_for_twice() -> None:
    problem = toy_problem(network(), toy_cpu())
    found = measured(Tuned(), problem, replace(problem, cost=RandomCost(1)))
    assert len(found.blocks) == len(set(found.blocks))
    assert not [block for block in found.blocks if problems(problem.network, block, problem.limits)]


def test_the_same_answers_lead_to_the_same_questions() -> None:
    problem = toy_problem(network(), toy_cpu())
    device = replace(problem, cost=RandomCost(2))
    assert measured(Tuned(), problem, device) == measured(Tuned(), problem, device)


@pytest.mark.parametrize("most", range(5))
def test_when_the_budget_is_spent_it_ends_with_the_comparison_that_it_promises(most: int) -> None:
    for problem in toy_problems():
        device = replace(problem, cost=RandomCost(3))
        found = measured(Tuned(), problem, device, most=most)
        assert len(found.requests) <= max(most, 1) + 2
        last = found.requests[-1]
        assert isinstance(last, TimePlans)
        assert last.essential
        assert plan_seconds(found.plan, device) == min(plan_seconds(plan, device) for plan in last.plans)
        first = found.requests[0]
        assert isinstance(first, TimePlans)
        assert first.essential
        assert plan_seconds(found.plan, device) <= min(plan_seconds(plan, device) for plan in first.plans) * (1 + 1e-9)


def test_the_winner_is_the_one_that_the_last_comparison_measured_best() -> None:
    """Whole plans may take another time than their blocks: the last word has the measurement of plans."""
    problem = toy_problem(network(), toy_cpu())
    search = Tuned().search(problem)
    request = next(search)
    last: tuple[Plan, ...] = ()
    try:
        while True:
            if isinstance(request, TimeBlocks):
                answer = tuple(block_seconds(block, problem) for block in request.blocks)
            else:
                last = request.plans
                answer = tuple(1.0 + index for index in reversed(range(len(last))))
            request = search.send(answer)
    except StopIteration as end:
        plan: Plan = end.value
    assert len(last) > 1
    assert [replace(block, reason="") for block in plan.blocks] == list(last[-1].blocks)


def test_it_takes_no_argument() -> None:
    assert find_strategy("tuned") == Tuned()
    with pytest.raises(PlanError, match="takes no argument"):
        find_strategy("tuned:3")
