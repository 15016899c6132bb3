"""What every strategy offers, and how one is found by its name."""

import pkgutil
from importlib import import_module
from typing import Protocol

from dlfusion.errors import PlanError
from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.plan import Plan
from dlfusion.search import strategies


class Strategy(Protocol):
    """A way to choose a plan: the same plan for the same arguments; it never builds, times or prints.

    Each file in `search/strategies/` holds one and offers `create(argument)`, which returns it; `argument` is what
    follows the colon in a name such as `fixed-block:3`, or None. It raises PlanError if the argument is of no use.
    """

    def plan(self, network: Network, machine: Machine, cores: int) -> Plan:
        """A legal plan for the network that uses at most `cores` cores of the machine."""
        ...


def strategy_names() -> tuple[str, ...]:
    """The names of all strategies, in alphabetical order."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(strategies.__path__)))


def find_strategy(name: str) -> Strategy:
    """The strategy called `name`, such as `all-cores`, or `fixed-block:3` with an argument.

    Raises:
        PlanError: there is none of that name, or it cannot use the argument.
    """
    base, colon, argument = name.partition(":")
    if base not in strategy_names():
        raise PlanError(f"There is no strategy `{base}`; choose one of {', '.join(strategy_names())}.")
    module = import_module(f"{strategies.__name__}.{base.replace('-', '_')}")
    strategy: Strategy = module.create(argument if colon else None)
    return strategy


def refuse_argument(name: str, argument: str | None) -> None:
    """Raise PlanError if an argument was given to a strategy that takes none."""
    if argument is not None:
        raise PlanError(
            f"The strategy `{name}` takes no argument, but `{argument}` was given; leave `:{argument}` out."
        )
