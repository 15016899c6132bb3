"""Proves that every strategy keeps the contract, and that the contract notices those that do not."""

from dataclasses import dataclass, replace

import pytest

from dlfusion.plans.plan import Block, Plan
from dlfusion.search import find_strategy, strategy_names
from dlfusion.search.contract import NEVER_FUSE, check_strategy
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import Search, TimeBlocks, TimePlans
from tests.search.exhaustive import planned

RIGID = ("all-cores", "fuse-all")
"""Strategies that do not ask what is faster."""


@pytest.mark.parametrize("name", [*strategy_names(), "fixed-block:3", "dp:2"])
def test_every_strategy_keeps_the_contract(name: str) -> None:
    check_strategy(find_strategy(name), chooses=name not in (*RIGID, "fixed-block:3"))


@dataclass
class Planning:
    """A strategy that breaks one rule."""

    fault: str
    calls: int = 0

    def plan(self, problem: Problem) -> Plan:
        self.calls += 1
        made = planned("baseline", problem)
        first, *others = made.blocks
        match self.fault:
            case "restless":
                return replace(made, strategy=f"restless {self.calls}")
            case "illegal":
                return replace(made, blocks=(replace(first, cores=7), *others))
            case "partial":
                return replace(made, blocks=made.blocks[1:])
            case "foreign":
                return replace(made, graph_digest="another")
            case "silent":
                return replace(made, blocks=tuple(replace(block, reason="") for block in made.blocks))
            case "slow":
                most = planned("fuse-all", problem)
                return most if problem.network.graph.name == NEVER_FUSE else made
        return made


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("restless", "another plan when asked again on the network chain and the machine toy CPU"),
        ("illegal", "an illegal plan on the network chain .*7 cores are asked for"),
        ("partial", "an illegal plan .*starts at layer 1"),
        ("foreign", "a plan for another graph"),
        ("silent", "a block without a reason"),
        ("slow", "slower than baseline's"),
    ],
)
def test_faults_are_noticed(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_strategy(Planning(fault))
    check_strategy(Planning("none"))


@dataclass
class Measuring:
    """A strategy that times baseline's first block until it is told to stop, and beyond if it is stubborn."""

    stubborn: bool = False
    illegal: bool = False

    default_budget_seconds = None

    def search(self, problem: Problem) -> Search:
        plan = planned("baseline", problem)
        if self.illegal:
            yield TimePlans((replace(plan, blocks=(Block(0, 0, 99), *plan.blocks[1:])),))
        answer = yield TimePlans((plan,), essential=True)
        assert answer is not None
        for _ in range(50):
            answer = yield TimeBlocks(plan.blocks[:1])
            if answer is None and not self.stubborn:
                break
        return plan


def test_a_measuring_strategy_that_stops_in_time_keeps_the_contract() -> None:
    check_strategy(Measuring())


def test_a_strategy_that_can_do_both_measures() -> None:
    class Both(Measuring):
        def plan(self, problem: Problem) -> Plan:
            raise NotImplementedError

    check_strategy(Both())


def test_a_measuring_strategy_that_goes_on_is_noticed() -> None:
    with pytest.raises(AssertionError, match="5 requests after the budget was spent on the network chain"):
        check_strategy(Measuring(stubborn=True))


def test_a_request_for_an_illegal_plan_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"a request to measure an illegal plan .*99 cores"):
        check_strategy(Measuring(illegal=True))
