"""Proves that strategies are found by name, by file and as objects, and that what is of no use is named."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dlfusion.errors import PlanError
from dlfusion.plans.plan import Plan
from dlfusion.search import find_strategy, strategy_names
from dlfusion.search.contract import check_strategy, toy_problems
from dlfusion.search.problem import Problem
from tests.search.exhaustive import planned

OWN = '''
"""Every other layer on all cores."""

from dataclasses import dataclass, replace

from dlfusion.search.blocks import single


@dataclass(frozen=True)
class EveryOther:
    """Layers 0, 2, 4... on all cores, the others on one."""

    reason: str

    def plan(self, problem):
        """One block per layer."""
        counts = [problem.most_cores if index % 2 == 0 else 1 for index in range(len(problem.network.layers))]
        return problem.plan("every-other", tuple(single(problem, i, n, self.reason) for i, n in enumerate(counts)))


def create(argument):
    """The strategy; `argument` is the reason that its blocks give."""
    return EveryOther(argument or "every other")
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "every_other.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def test_names_come_from_the_files() -> None:
    assert {"all-cores", "baseline", "dp", "fixed-block", "fuse-all", "layer-cores"} <= set(strategy_names())


def test_a_file_of_ones_own(own: Path) -> None:
    check_strategy(find_strategy(str(own)))
    assert planned(str(own), toy_problems()[0]).blocks[0].reason == "every other"
    assert planned(f"{own}:because", toy_problems()[0]).blocks[0].reason == "because"


def test_an_object_is_taken_as_it_is() -> None:
    @dataclass(frozen=True)
    class Mine:
        def plan(self, problem: Problem) -> Plan:
            return planned("baseline", problem)

    mine = Mine()
    assert find_strategy(mine) is mine


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def create(argument:\n", "fails when it is loaded: SyntaxError"),
        ("import no_such_module\n", "fails when it is loaded, line 1: ModuleNotFoundError: No module named"),
        ("x = 1\n", r"has no `create\(argument\)`"),
        (
            "def create(argument):\n    raise ValueError\n",
            "The strategy file .*broken.py fails in `create`, line 2: ValueError. Correct it",
        ),
        ("def create():\n    return 1\n", "fails in `create`: TypeError"),
        ("def create(argument):\n    return 7\n", r"returned, 7, is no strategy: it needs a method `plan\(problem\)`"),
    ],
)
def test_files_of_no_use(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError, match=message):
        find_strategy(str(path))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def plan(self, problem):\n        return 1 / 0",
            "fails in `plan`, line 3: ZeroDivisionError: division by zero",
        ),
        ("def plan(self):\n        return 1", "fails in `plan`: TypeError"),
        ("def plan(self, problem):\n        return None", "returns None for a plan; `problem.plan"),
        ("def search(self, problem):\n        yield 7", "asks for 7; it may yield `TimeBlocks` or `TimePlans`"),
        ("def search(self, problem):\n        yield from ()", "returns None for a plan"),
        ("def search(self, problem):\n        return problem.no\n        yield", "in `search`, line 3: AttributeError"),
    ],
)
def test_what_a_strategy_of_a_file_does_wrong_is_the_files_error(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "wrong.py"
    text = f"class Wrong:\n    {body}\n    default_budget_seconds = None\ndef create(argument):\n    return Wrong()\n"
    path.write_text(text, encoding="utf-8")
    strategy = find_strategy(str(path))
    with pytest.raises(PlanError, match=f"The strategy file .*wrong.py .*{message}"):
        check_strategy(strategy)


MEASURES = """
from dlfusion.search import find_strategy


class Oracle:
    default_budget_seconds = 3.0

    def search(self, problem):
        return (yield from find_strategy("oracle:2").search(problem))


def create(argument):
    return Oracle()
"""


def test_a_file_with_a_strategy_that_measures(tmp_path: Path) -> None:
    path = tmp_path / "measures.py"
    path.write_text(MEASURES, encoding="utf-8")
    strategy = find_strategy(str(path))
    assert not hasattr(strategy, "plan")
    assert strategy.default_budget_seconds == 3.0
    check_strategy(strategy)
    path.write_text(MEASURES.replace("default_budget_seconds = 3.0", "pass"), encoding="utf-8")
    with pytest.raises(PlanError, match=r"measures, but has no `default_budget_seconds`"):
        find_strategy(str(path))


def test_a_strategys_own_refusal_of_an_argument_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "strict.py"
    path.write_text(
        "from dlfusion.search.strategy import refuse_argument\n"
        "def create(argument):\n    refuse_argument('strict', argument)\n",
        encoding="utf-8",
    )
    with pytest.raises(PlanError, match="The strategy `strict` takes no argument, but `3` was given"):
        find_strategy(f"{path}:3")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"There is no file .*mine\.py to read a strategy from"):
        find_strategy(str(tmp_path / "mine.py"))


def test_an_object_of_no_use() -> None:
    with pytest.raises(PlanError, match="The object 7 is no strategy"):
        find_strategy(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("best", "no strategy `best`; choose one of all-cores, baseline, d.*, or name a Python file"),
        ("baseline:2", "`baseline` takes no argument, but `2` was given"),
        ("all-cores:", "`all-cores` takes no argument"),
        ("fuse-all:x", "`fuse-all` takes no argument"),
        ("layer-cores:x", "`layer-cores` takes no argument"),
        ("fixed-block:", "1 or more, as `fixed-block:3`"),
        ("fixed-block:0", "1 or more, as `fixed-block:3`"),
        ("fixed-block:-1", "1 or more, as `fixed-block:3`"),
    ],
)
def test_names_that_are_of_no_use(name: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        find_strategy(name)
