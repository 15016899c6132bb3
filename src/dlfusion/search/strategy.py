"""What every strategy offers, and how one is found by its name."""

import pkgutil
import sys
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Protocol, cast

from dlfusion.errors import PlanError
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
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[specification.name]
        raise PlanError(f"The strategy file {path} fails when it is loaded: {_named(error)}. Correct it.") from error
    create = getattr(module, "create", None)
    if not callable(create):
        raise PlanError(f"The strategy file {path} has no `create(argument)` that returns a strategy; add it.")
    try:
        made = create(argument)
    except PlanError:
        raise
    except Exception as error:
        raise PlanError(f"`create` of the strategy file {path} fails: {_named(error)}. Correct it.") from error
    return _checked(made, f"What `create` of the strategy file {path} returned, {made!r},")


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _checked(made: object, what: str) -> Strategy | MeasuringStrategy:
    """The object, if it has a method of one of the two kinds of strategies."""
    if not callable(getattr(made, "plan", None)) and not callable(getattr(made, "search", None)):
        raise PlanError(
            f"{what} is no strategy: it needs a method `plan(problem)` that returns a plan, or `search(problem)` that "
            "asks for measurements."
        )
    return cast(Strategy | MeasuringStrategy, made)


def refuse_argument(name: str, argument: str | None) -> None:
    """Raise PlanError if an argument was given to a strategy that takes none."""
    if argument is not None:
        raise PlanError(
            f"The strategy `{name}` takes no argument, but `{argument}` was given; leave `:{argument}` out."
        )
