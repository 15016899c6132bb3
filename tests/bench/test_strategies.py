"""Proves on a toy target that comparisons measure what they say, continue where they stopped, and keep what is done."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import dlfusion
from dlfusion import driver
from dlfusion.bench import strategies
from dlfusion.bench.strategies import STRATEGIES, named_models, named_strategies
from dlfusion.cost.model import plan_seconds
from dlfusion.driver.planning import offered
from dlfusion.errors import InputError, PlanError
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.machine import Machine
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.plans.structure import structure
from dlfusion.report.strategies import Comparison
from dlfusion.runtime.measure import Setting
from dlfusion.search import strategy_names
from dlfusion.search.contract import ToyCost, toy_accelerator, toy_cpu, toy_problems, toy_profile
from dlfusion.search.problem import Problem
from dlfusion.targets.target import Bench, PlanTimes, Target


class ToyBench:
    """Times that the toy cost model predicts, so that every result can be checked."""

    def __init__(self, target: "ToyTarget", network: Network) -> None:
        self.target = target
        self.network = network

    def structure(self, block: Block) -> str:
        return structure(self.network, block)

    def time_plans(self, plans: Sequence[Plan], seconds: float) -> tuple[PlanTimes, ...]:
        if self.target.interrupt_after is not None and self.target.runs >= self.target.interrupt_after:
            raise KeyboardInterrupt
        self.target.runs += 1
        found = []
        for plan in plans:
            self.target.plans += 1
            times = [self.target.cost.block(self.network, schedule(self.network, block)) for block in plan.blocks]
            blocks = tuple((cost.seconds, cost.seconds * 1.5) for cost in times)
            found.append(PlanTimes((sum(b[0] for b in blocks), sum(b[1] for b in blocks)), blocks))
        return tuple(found)


class ToyTarget:
    """A target of the toy accelerator, or of the machine a test gives it; `interrupt_after` runs it is interrupted."""

    name = "toy_npu"
    simulated = True
    algorithms: tuple[str, ...] = ("direct",)

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.machine: Machine = toy_accelerator()
        self.interrupt_after = interrupt_after
        self.runs = 0
        self.plans = 0

    @property
    def cost(self) -> ToyCost:
        return ToyCost(self.machine)

    @property
    def setting(self) -> Setting:
        return Setting(self.machine.fingerprint, library="toy 1")

    @contextmanager
    def bench(self, network: Network) -> Iterator[Bench]:
        yield ToyBench(self, network)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyTarget:
    """A target, and a driver whose problems have its cost model."""

    def problem(
        network: Network, target: Target, cores: int | None, profile: object, *, exact: bool = False
    ) -> Problem:
        counts = tuple(count for count in target.machine.core_counts if cores is None or count <= cores)
        allowed = offered(target, exact)
        known = toy_profile(target.machine)
        return Problem(network, target.machine, counts, ToyCost(target.machine), known, allowed)

    monkeypatch.setattr(driver, "problem", problem)
    return ToyTarget()


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    """Two small networks."""
    found = {problem.network.graph.name: problem.network for problem in toy_problems()}
    return {name: found[name] for name in ("chain", "residual")}


def test_all_nine_strategies_are_compared_in_one_run(
    toy: ToyTarget, networks: dict[str, Network], tmp_path: Path
) -> None:
    found = strategies.compare(networks, toy, database=tmp_path / "db.sqlite3")
    assert set(STRATEGIES) == set(strategy_names())
    for model in found.models:
        assert [result.strategy for result in model.results] == list(STRATEGIES)
        for result in model.results:
            assert result.simulated
            assert result.cores == 4
            expected = plan_seconds(networks[model.model], result.plan, toy.cost)
            assert result.minimum == pytest.approx(expected)
            assert result.median == pytest.approx(expected * 1.25)
            assert result.predicted_seconds == pytest.approx(expected)
            regret = model.regret(result)
            assert regret is not None
            # The cost model is the target, so nothing beats an oracle that tries all lengths that there are.
            assert regret.minimum >= -1e-9
        for name in ("dp", "oracle"):
            best = model.find(name)
            assert best is not None
            regret = model.regret(best)
            assert regret is not None
            assert regret.minimum == pytest.approx(0)
        assert model.oracle is not None
        assert model.oracle.measurements > 0
        assert model.oracle.longest == 8
        assert model.oracle.brute_force > model.oracle.measurements


def test_a_cover_that_is_repeated_measures_no_block_twice(
    toy: ToyTarget, networks: dict[str, Network], tmp_path: Path
) -> None:
    first = strategies.compare(networks, toy, strategies=("baseline", "oracle"), database=tmp_path / "db.sqlite3")
    again = strategies.compare(networks, toy, strategies=("baseline", "oracle"), database=tmp_path / "db.sqlite3")
    for before, after in zip(first.models, again.models, strict=True):
        assert before.oracle is not None
        assert after.oracle is not None
        oracle = after.find("oracle")
        assert oracle is not None
        assert oracle.measured == 0
        assert oracle.reused == after.oracle.measurements
        # A search that finds everything in the database took as long as the one that filled it.
        assert after.oracle.seconds >= before.oracle.seconds


def test_an_interrupted_run_keeps_finished_models_and_continues(
    toy: ToyTarget, networks: dict[str, Network], tmp_path: Path
) -> None:
    kept: list[Comparison] = []
    chosen = ("baseline", "dlfusion", "oracle:3")
    database = tmp_path / "db.sqlite3"
    alone = ToyTarget()
    strategies.compare({"chain": networks["chain"]}, alone, strategies=chosen, database=tmp_path / "other.sqlite3")
    toy.interrupt_after = alone.runs + 2
    with pytest.raises(KeyboardInterrupt):
        strategies.compare(networks, toy, strategies=chosen, database=database, finished=kept.append)
    assert [[model.model for model in comparison.models] for comparison in kept] == [["chain"]]
    whole = ToyTarget()
    full = strategies.compare(networks, whole, strategies=chosen, database=tmp_path / "third.sqlite3")
    toy.interrupt_after, toy.plans = None, 0
    continued = strategies.compare(networks, toy, strategies=chosen, database=database, finished=kept.append)
    assert toy.plans < whole.plans
    assert [len(comparison.models) for comparison in kept] == [1, 1, 2]
    for ours, theirs in zip(continued.models, full.models, strict=True):
        assert [result.samples for result in ours.results] == [result.samples for result in theirs.results]


def test_exact_plans_name_no_algorithm_and_their_searches_are_timed_apart(
    toy: ToyTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[str] = []
    monkeypatch.setattr(strategies.SearchTimes, "add", lambda self, search, seconds: searches.append(search))
    toy.machine, toy.algorithms = toy_cpu(), tuple(map(str, Algorithm))
    (network,) = (problem.network for problem in toy_problems() if problem.network.graph.name == "tiles")
    named = []
    for exact in (False, True):
        found = strategies.compare({"tiles": network}, toy, exact=exact, database=tmp_path / "db.sqlite3")
        assert found.exact is exact
        blocks = [[block.algorithms for block in result.choices] for result in found.models[0].results]
        named.append([any(algorithms) for algorithms in blocks])
    assert any(named[0])
    assert not any(named[1])
    assert searches == [searches[0], f"{searches[0]}, by direct"]


def test_equal_plans_are_timed_once_and_share_their_samples(
    toy: ToyTarget, networks: dict[str, Network], tmp_path: Path
) -> None:
    chosen = ("baseline", "fixed-block:1", "all-cores")
    found = strategies.compare(
        {"chain": networks["chain"]}, toy, strategies=chosen, cores=1, database=tmp_path / "db.sqlite3"
    )
    (model,) = found.models
    assert toy.plans == 1
    assert len({result.samples for result in model.results}) == 1
    assert [model.twin(result) for result in model.results] == [None, "baseline", "baseline"]


def test_a_strategy_of_ones_own_is_compared_and_illegal_plans_are_refused(
    toy: ToyTarget, networks: dict[str, Network], tmp_path: Path
) -> None:
    class Own:
        def plan(self, problem: Problem) -> Plan:
            layers = range(len(problem.network.layers))
            return problem.plan("own", tuple(Block(index, index, 1, reason="mine") for index in layers))

    class Illegal(Own):
        def plan(self, problem: Problem) -> Plan:
            made = super().plan(problem)
            return replace(made, blocks=made.blocks[1:])

    database = tmp_path / "db.sqlite3"
    found = strategies.compare({"chain": networks["chain"]}, toy, strategies=(Own(),), database=database)
    assert found.models[0].results[0].strategy == "Own"
    with pytest.raises(PlanError, match="the next layer in order is 0"):
        strategies.compare({"chain": networks["chain"]}, toy, strategies=(Illegal(),), database=database)


def test_searches_do_not_profit_from_what_earlier_ones_remembered(
    toy: ToyTarget, networks: dict[str, Network], tmp_path: Path
) -> None:
    seen: list[set[str]] = []

    class Watching:
        def plan(self, problem: Problem) -> Plan:
            seen.append(set(problem.network.__dict__))
            assert problem.network.consumers  # remembered from now on by this network
            return problem.plan("x", tuple(Block(i, i, 1, reason="x") for i in range(len(problem.network.layers))))

    strategies.compare({"chain": networks["chain"]}, toy, strategies=(Watching(),), database=tmp_path / "db.sqlite3")
    assert len(seen) == strategies._MOST_REPEATS
    assert all("consumers" not in remembered for remembered in seen)


def test_a_file_of_ones_own_is_never_taken_for_a_strategy_that_ships(tmp_path: Path) -> None:
    file = tmp_path / "oracle.py"
    file.write_text("from dlfusion.search.strategies.baseline import create as create\n")
    assert [name for name, _ in named_strategies([str(file), "oracle"])] == ["oracle.py", "oracle"]


def test_it_is_part_of_the_public_api() -> None:
    assert dlfusion.compare is strategies.compare


def test_names() -> None:
    assert list(named_models(["a/one.onnx", "b/one.onnx", Path("two.onnx")])) == ["one", "one (2)", "two"]
    assert list(named_models("a/one.onnx")) == ["one"]
    assert [name for name, _ in named_strategies(None, 5)] == [*STRATEGIES[:-1], "oracle:5"]
    with pytest.raises(InputError, match="at least one model"):
        named_models([])
    with pytest.raises(InputError, match="baseline is named twice"):
        named_strategies(["baseline", "baseline"])
    with pytest.raises(InputError, match="at least one strategy"):
        named_strategies([])
    with pytest.raises(PlanError, match="no strategy `guess`"):
        named_strategies(["guess"])
