"""What every strategy offers, and how one is found by its name."""

import pkgutil
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from typing import Protocol, TypeGuard, cast

from dlfusion.errors import DlfusionError, PlanError
from dlfusion.plans.plan import Block, Plan
from dlfusion.search import strategies
from dlfusion.search.problem import Problem


class Strategy(Protocol):
    """A way to choose a plan: the same plan for the same problem; it never builds, times or prints.

    Each file in `search/strategies/` holds one and offers `create(argument)`, which returns it; `argument` is what
    follows the colon in a name such as `fixed-block:3`, or None. It raises PlanError if the argument is of no use.
    """

    def plan(self, problem: Problem) -> Plan:
        """A legal plan for the problem."""
        ...


@dataclass(frozen=True, slots=True)
class TimeBlocks:
    """A request to measure blocks; the answer has the seconds of each, in order."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class TimePlans:
    """A request to measure whole plans against each other, in turns; the answer has the seconds of each, in order.

    An `essential` request is answered even when the budget is spent: what the result's promise rests on.
    """

    plans: tuple[Plan, ...]
    essential: bool = False


Request = TimeBlocks | TimePlans
Search = Generator[Request, tuple[float, ...] | None, Plan]
"""Ask and tell: yields requests, is sent the answers (None: the budget is spent), returns its best plan."""


class MeasuringStrategy(Protocol):
    """A way to choose a plan by measuring on the device: it asks, somebody else builds and times.

    Found by its name like a `Strategy`. The same answers lead to the same requests and the same plan.
    """

    @property
    def default_budget_seconds(self) -> float | None:
        """How long it may measure unless the user says otherwise; None: until it is done."""
        ...

    def search(self, problem: Problem) -> Search:
        """The requests of this search, one after the other."""
        ...


def is_measuring(strategy: Strategy | MeasuringStrategy) -> TypeGuard[MeasuringStrategy]:
    """Whether a strategy asks for measurements."""
    return hasattr(strategy, "search")


def strategy_names() -> tuple[str, ...]:
    """The names of all strategies, in alphabetical order."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(strategies.__path__)))


def find_strategy(strategy: str | Strategy | MeasuringStrategy) -> Strategy | MeasuringStrategy:
    """The strategy called `strategy`; an object that is one already is returned as it is.

    A name is that of a file in `search/strategies/`, such as `all-cores`, or the path of a Python file that offers
    `create(argument)`, such as `my/strategy.py`; both may have an argument behind a colon, as `fixed-block:3`.

    Raises:
        PlanError: there is none of that name, the file cannot be used, or the strategy cannot use the argument.
    """
    if not isinstance(strategy, str):
        return _checked(strategy, f"The object {strategy!r}")
    if strategy.endswith(".py") or ".py:" in strategy:
        path, ending, argument = strategy.rpartition(".py:") if ".py:" in strategy else (strategy, "", "")
        return _from_file(Path(path + ".py" if ending else path), argument if ending else None)
    base, colon, argument = strategy.partition(":")
    if base not in strategy_names():
        raise PlanError(
            f"There is no strategy `{base}`; choose one of {', '.join(strategy_names())}, or name a Python file that "
            "offers one, such as `my/strategy.py`."
        )
    module = import_module(f"{strategies.__name__}.{base.replace('-', '_')}")
    return _checked(module.create(argument if colon else None), f"The strategy `{strategy}`")


def _from_file(path: Path, argument: str | None) -> Strategy | MeasuringStrategy:
    """The strategy that a user's Python file creates."""
    if not path.is_file():
        raise PlanError(f"There is no file {path} to read a strategy from; check the path.")
    specification = spec_from_file_location(f"dlfusion_strategy_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise PlanError(f"The file {path} cannot be loaded as a Python module; rename it.")
    module = module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up
    with _faults_of(path, "when it is loaded"):
        specification.loader.exec_module(module)
    create = getattr(module, "create", None)
    if not callable(create):
        raise PlanError(f"The strategy file {path} has no `create(argument)` that returns a strategy; add it.")
    with _faults_of(path, "in `create`"):
        made = create(argument)
    checked = _checked(made, f"What `create` of the strategy file {path} returned, {made!r},")
    if is_measuring(checked):
        return _MeasuringOfFile(path, checked)
    return _StrategyOfFile(path, cast(Strategy, checked))


@dataclass(frozen=True, slots=True)
class _StrategyOfFile:
    """A strategy from a user's file: its faults are the file's, named, and no bugs of this program."""

    path: Path
    made: Strategy

    def plan(self, problem: Problem) -> Plan:
        """The plan that it makes."""
        with _faults_of(self.path, "in `plan`"):
            return _expected(self.path, self.made.plan(problem))


@dataclass(frozen=True, slots=True)
class _MeasuringOfFile:
    """The same for a strategy that measures."""

    path: Path
    made: MeasuringStrategy

    @property
    def default_budget_seconds(self) -> float | None:
        """That of the strategy."""
        return self.made.default_budget_seconds

    def search(self, problem: Problem) -> Search:
        """Its requests and its plan."""
        answer: tuple[float, ...] | None = None
        with _faults_of(self.path, "in `search`"), closing(self.made.search(problem)) as search:
            while True:
                try:
                    request = search.send(answer)
                except StopIteration as end:
                    return _expected(self.path, end.value)
                if not isinstance(request, TimeBlocks | TimePlans):
                    raise PlanError(
                        f"The strategy file {self.path} asks for {request!r}; it may yield `TimeBlocks` or `TimePlans`."
                    )
                answer = yield request


def _expected(path: Path, made: object) -> Plan:
    if not isinstance(made, Plan):
        raise PlanError(
            f"The strategy file {path} returns {made!r} for a plan; `problem.plan(name, blocks)` makes one."
        )
    return made


@contextmanager
def _faults_of(path: Path, where: str) -> Iterator[None]:
    """Exceptions of a user's file become errors that name the file and, where it is known, the line."""
    try:
        yield
    except DlfusionError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f", line {lines[-1]}" if lines else ""
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PlanError(f"The strategy file {path} fails {where}{line}: {what}. Correct it.") from error


def _checked(made: object, what: str) -> Strategy | MeasuringStrategy:
    """The object, if it has a method of one of the two kinds of strategies."""
    if not callable(getattr(made, "plan", None)) and not callable(getattr(made, "search", None)):
        raise PlanError(
            f"{what} is no strategy: it needs a method `plan(problem)` that returns a plan, or `search(problem)` that "
            "asks for measurements."
        )
    if hasattr(made, "search") and not hasattr(made, "default_budget_seconds"):
        raise PlanError(
            f"{what} measures, but has no `default_budget_seconds`: how long it may measure unless the user says "
            "otherwise, None for as long as it takes."
        )
    return cast(Strategy | MeasuringStrategy, made)


_MOST_DIGITS = 9
"""Of a number of layers: enough for any network, and few enough for Python to read."""


def layer_count(name: str, argument: str, meaning: str, example: int) -> int:
    """The number of layers that a strategy's argument states: `meaning` says of what, `example` shows one.

    Raises:
        PlanError: the argument is no positive whole number.
    """
    if not argument.isdecimal() or len(argument) > _MOST_DIGITS or int(argument) < 1:
        raise PlanError(f"`{name}:{argument[:40]}` needs {meaning}, 1 or more, as `{name}:{example}`.")
    return int(argument)


def refuse_argument(name: str, argument: str | None) -> None:
    """Raise PlanError if an argument was given to a strategy that takes none."""
    if argument is not None:
        raise PlanError(
            f"The strategy `{name}` takes no argument, but `{argument}` was given; leave `:{argument}` out."
        )
