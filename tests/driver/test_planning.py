"""Proves that plans name algorithms only where the target offers them and the user allows them."""

from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion import driver
from dlfusion.cost.analytic import Analytic
from dlfusion.errors import PlanError
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block, Plan
from dlfusion.search.contract import toy_cpu
from tests.support.networks import chain
from tests.support.random_plans import ALL_ALGORITHMS
from tests.tuning.fake_target import FakeTarget


@pytest.fixture(scope="module")
def network() -> Network:
    return describe(chain([(32, 3, 1)] * 2, height=28, channels=32).build())


def named(plan: Plan) -> list[tuple[int, str]]:
    return [entry for block in plan.blocks for entry in block.algorithms]


@pytest.fixture
def target() -> FakeTarget:
    machine = toy_cpu()
    return FakeTarget(machine, Analytic(machine))


def test_a_problem_has_what_the_target_offers_and_the_user_allows(network: Network, target: FakeTarget) -> None:
    assert driver.problem(network, target).algorithms == ALL_ALGORITHMS
    assert driver.problem(network, target, exact=True).algorithms == ("direct",)
    assert driver.problem(network, "mlu100").algorithms == ("direct",)
    assert named(driver.plan(network, target, "baseline"))
    assert not named(driver.plan(network, target, "baseline", exact=True))


def test_tuning_keeps_to_what_is_allowed(network: Network, target: FakeTarget, tmp_path: Path) -> None:
    database = tmp_path / "tuning.sqlite3"
    assert named(driver.tune(network, target, budget_seconds=20, database=database).plan)
    target.groups.clear()
    assert not named(driver.tune(network, target, budget_seconds=20, database=database, exact=True).plan)
    assert not [block for block in target.measured_blocks if block.algorithms]


def test_a_plan_that_names_algorithms_is_read_where_they_may_be_used(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    blocks = (Block(0, 1, 1, algorithms=((0, "winograd4"),)),)
    plan = Plan(network.graph.digest, driver.problem(network).machine.fingerprint, "by hand", blocks)
    path.write_text(plan.to_json())
    assert driver.read_plan(network, path) == plan
    for read in (
        lambda: driver.read_plan(network, path, exact=True),
        lambda: driver.read_plan(network, path, "mlu100"),
        lambda: driver.compile(network, plan=path, exact=True),
        lambda: driver.compile(network, plan=plan, exact=True),
    ):
        with pytest.raises(
            PlanError, match=r"winograd4 is given for layer 0 .* it can be computed only by direct here"
        ):
            read()
    with pytest.raises(PlanError, match="computed only by direct here"):
        driver.write_project(network, replace(plan, machine=""), tmp_path / "project")
