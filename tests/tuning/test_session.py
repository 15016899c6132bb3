"""Sessions: what is known is not measured again, nothing that was measured is lost, budgets are kept."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.errors import PlanError
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import machine_limits, plan_problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.search.blocks import moved
from dlfusion.search.contract import ToyCost, toy_accelerator, toy_cpu, toy_problem
from dlfusion.search.problem import Problem
from dlfusion.search.strategies.oracle import Oracle
from dlfusion.search.strategies.tuned import Tuned
from dlfusion.search.strategy import Search, TimeBlocks, TimePlans
from dlfusion.tuning.session import Session
from dlfusion.tuning.store import Store
from tests.support.networks import chain
from tests.tuning.fake_target import FakeTarget

SIZES = ((8, 3, 1), (8, 3, 1), (8, 3, 1), (16, 3, 2), (16, 1, 1))


def network(height: int = 16) -> Network:
    return describe(chain(SIZES, height=height).build())


def target(*, simulated: bool = False) -> FakeTarget:
    machine = toy_cpu()
    return FakeTarget(machine, ToyCost(machine), simulated=simulated)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tuning.sqlite3"


def modelled(fake: FakeTarget, net: Network, block: Block) -> float:
    return fake.cost.block(net, schedule(net, block)).seconds


def test_blocks_are_measured_in_legal_plans_and_known_ones_not_again(path: Path) -> None:
    fake, net = target(), network()
    wanted = [Block(0, 2, 2, step_rows=4), Block(1, 3, 3, step_rows=2), Block(4, 4, 1, step_rows=8)]
    with Store(path) as store:
        with Session(fake, store) as session:
            seconds = session.time_blocks(net, [*wanted, wanted[0]])
            assert seconds == pytest.approx([modelled(fake, net, block) for block in [*wanted, wanted[0]]])
            plans = [plan for group in fake.groups for plan in group]
            assert not [fault for plan in plans for fault in plan_problems(net, plan, machine_limits(fake.machine))]
            assert sorted(fake.measured_blocks.count(block) for block in wanted) == [1, 1, 1]
            groups = len(fake.groups)
            samples = session.block_samples(net, wanted)
            assert len(fake.groups) == groups
            assert [min(block) for block in samples] == list(seconds[:3])
            assert all(len(block) == 3 for block in samples)
        with Session(fake, store) as later:  # blocks of equal structure are the same, wherever they stand
            assert later.time_blocks(net, [replace(wanted[0], reason="another")]) == seconds[:1]
            assert len(fake.groups) == groups
    assert fake.open_benches == 0


def test_blocks_that_were_disturbed_are_measured_once_more(path: Path) -> None:
    fake, net = target(), network()
    fake.third = 1.2
    wanted = [Block(0, 2, 2, step_rows=4), Block(1, 3, 3, step_rows=2)]
    with Store(path) as store, Session(fake, store) as session:
        samples = session.block_samples(net, wanted)
        assert [len(of_block) for of_block in samples] == [6, 6]
        assert sorted(fake.measured_blocks.count(block) for block in wanted) == [2, 2]
        assert session.block_samples(net, wanted) == samples
        assert sorted(fake.measured_blocks.count(block) for block in wanted) == [2, 2]


def test_blocks_that_differ_by_algorithm_are_measured_apart_wherever_they_lie(path: Path) -> None:
    net = describe(chain([(16, 3, 1)] * 4, height=12, channels=16).build())
    fake = target()
    with Store(path) as store, Session(fake, store) as session:
        direct, tiles = Block(1, 1, 1, step_rows=12), Block(1, 1, 1, step_rows=12, algorithms=((1, "winograd4"),))
        first = session.time_blocks(net, [direct, tiles])
        assert first[1] < first[0]
        measured = [block for block in fake.measured_blocks if block.algorithms]
        assert measured == [tiles]
        before = len(fake.groups)
        # The same layer in another place, and with its default written out.
        again = session.time_blocks(net, [moved(tiles, 2), replace(direct, algorithms=((1, "direct"),))])
        assert again == first[::-1]
        assert len(fake.groups) == before
        with pytest.raises(PlanError, match="computed only by direct, winograd2, winograd4, winograd6 here"):
            session.time_blocks(net, [replace(tiles, algorithms=((1, "fft"),))])


def test_another_setting_measures_again(path: Path) -> None:
    net, block = network(), Block(0, 1, 1)
    first, second = target(), target()
    second.setting = replace(second.setting, library="library 2")
    with Store(path) as store:
        for fake in (first, second):
            with Session(fake, store) as session:
                session.time_blocks(net, [block])
            assert block in fake.measured_blocks


def test_an_illegal_block_is_refused_before_anything_runs(path: Path) -> None:
    fake, net = target(), network()
    with Store(path) as store, Session(fake, store) as session:
        with pytest.raises(PlanError, match="9 cores"):
            session.time_blocks(net, [Block(0, 0, 1), Block(0, 1, 9)])
        with pytest.raises(PlanError, match="9 cores"):
            session.time_plans(net, [Plan(net.graph.digest, "m", "s", (Block(0, 4, 9),))])
    assert fake.groups == []


def test_a_layer_that_no_core_count_can_share_is_named(path: Path) -> None:
    """Such as four rows of two channels on a machine that runs blocks on eight cores or none."""
    net = describe(chain(((8, 3, 1), (2, 3, 2)), height=8).build())
    machine = replace(toy_accelerator(), core_counts=(8,))
    fake = FakeTarget(machine, ToyCost(machine), simulated=True)
    with (
        Store(path) as store,
        Session(fake, store) as session,
        pytest.raises(PlanError, match=r"layer 1 .*cannot be cut over any of the core counts 8"),
    ):
        session.time_blocks(net, [Block(0, 0, 8)])


def test_plans_are_measured_each_time_and_equal_ones_once(path: Path) -> None:
    fake, net = target(), network()
    alone = tuple(Block(index, index, 1, step_rows=16) for index in range(5))
    one = Plan(net.graph.digest, "m", "one", alone)
    same = Plan(net.graph.digest, "m", "same", tuple(replace(block, reason="why") for block in alone))
    fused = Plan(net.graph.digest, "m", "fused", (Block(0, 4, 2),))
    with Store(path) as store, Session(fake, store) as session:
        for _ in range(2):
            first, second, third = session.time_plans(net, [one, same, fused])
            assert [measurement.name for measurement in (first, second, third)] == ["one", "same", "fused"]
            assert first.samples == second.samples
            assert first.minimum == pytest.approx(sum(modelled(fake, net, block) for block in alone))
            assert third.minimum == pytest.approx(modelled(fake, net, fused.blocks[0]))
            assert first.verdict == "not checked"
        assert [len(group) for group in fake.groups] == [2, 2]
        assert session.time_blocks(net, fused.blocks) == (third.minimum,)  # blocks of plans are remembered too
        assert len(fake.groups) == 2
        labels = [entry.label for holding in store.holdings() for entry in store.entries(holding.number)]
        assert labels.count("plan fused of chain") == 2


def test_simulated_times_say_so(path: Path) -> None:
    fake, net = target(simulated=True), network()
    plan = Plan(net.graph.digest, "m", "s", (Block(0, 4, 2),))
    with Store(path) as store, Session(fake, store) as session:
        assert session.time_plans(net, [plan])[0].verdict == "simulated"


def test_one_network_is_held_ready_at_a_time(path: Path) -> None:
    fake, nets = target(), (network(), network(20))
    with Store(path) as store, Session(fake, store) as session:
        for net in (nets[0], nets[0], nets[1], nets[0]):
            session.time_blocks(net, [Block(0, 1, 1)])
            assert fake.open_benches == 1
    assert (fake.opened, fake.open_benches) == (3, 0)


class Interrupted(BaseException):
    """Stands for Ctrl-C or the end of the process."""


def interrupt_at(request: int, fake: FakeTarget) -> None:
    def before(plans: Sequence[Plan]) -> None:
        del plans
        if len(fake.groups) == request:
            raise Interrupted

    fake.before_measuring = before


def test_an_interrupted_search_measures_nothing_twice(path: Path, tmp_path: Path) -> None:
    net = network()
    problem = toy_problem(net, toy_cpu())
    with Store(tmp_path / "whole.sqlite3") as store, Session(target(), store) as session:
        whole = session.run(Oracle(), problem)
    assert whole.reused == 0
    interrupted, resumed = target(), target()
    interrupt_at(4, interrupted)
    with Store(path) as store:
        with pytest.raises(Interrupted), Session(interrupted, store) as session:
            session.run(Oracle(), problem)
        assert interrupted.open_benches == 0
    with Store(path) as store:
        kept = sum(holding.structures for holding in store.holdings())
        assert 0 < kept < whole.measured
        with Session(resumed, store) as session:
            rest = session.run(Oracle(), problem)
        assert rest.plan == whole.plan
        assert (rest.measured, rest.reused) == (whole.measured - kept, kept)
        with Session(resumed, store) as session:
            again = session.run(Oracle(), problem)
        assert (again.measured, again.reused, again.plan) == (0, whole.measured, whole.plan)


def test_a_search_knows_no_more_than_its_budget(path: Path) -> None:
    fake = target()
    fake.before_measuring = lambda plans: time.sleep(0.02 * len(plans))
    problem = toy_problem(network(), toy_cpu())
    with Store(path) as store, Session(fake, store) as session:
        outcome = session.run(Oracle(), problem, budget_seconds=0.3)
        assert outcome.wall_seconds < 3
        assert not plan_problems(problem.network, outcome.plan, problem.limits)
        spent = session.run(Oracle(), toy_problem(network(20), toy_cpu()), budget_seconds=0.0)
        assert spent.measured == 0
        assert not plan_problems(network(20), spent.plan, problem.limits)


class Asking:
    """Asks what it is told to, and keeps the answers."""

    def __init__(self, requests: Sequence[TimeBlocks | TimePlans]) -> None:
        self.requests = requests
        self.answers: list[tuple[float, ...] | None] = []

    default_budget_seconds = None

    def search(self, problem: Problem) -> Search:
        """All requests."""
        for request in self.requests:
            self.answers.append((yield request))
        return problem.plan("asking", (Block(0, 4, 1),))


def test_only_essential_requests_are_answered_when_the_budget_is_spent(path: Path) -> None:
    net = network()
    problem = toy_problem(net, toy_cpu())
    plan = problem.plan("some", (Block(0, 4, 1),))
    asking = Asking((TimeBlocks((Block(0, 1, 1),)), TimePlans((plan,)), TimePlans((plan,), essential=True)))
    with Store(path) as store, Session(target(), store) as session:
        outcome = session.run(asking, problem, budget_seconds=0.0)
    assert asking.answers[:2] == [None, None]
    assert asking.answers[2] is not None
    assert outcome.requests == 3


def test_it_works_for_accelerators_too(path: Path) -> None:
    machine = toy_accelerator()
    fake = FakeTarget(machine, ToyCost(machine), simulated=True)
    problem = toy_problem(network(), machine)
    with Store(path) as store, Session(fake, store) as session:
        oracle, tuned = session.run(Oracle(), problem), session.run(Tuned(), problem)
        measured = session.time_plans(problem.network, [oracle.plan, tuned.plan])
    assert measured[1].minimum == pytest.approx(measured[0].minimum)
