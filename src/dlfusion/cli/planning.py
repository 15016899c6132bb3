"""The plan that a command works on: read from a file, or chosen by a strategy."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlfusion.layers.layer import Network
    from dlfusion.plans.plan import Plan
    from dlfusion.search.problem import Problem


def planned(
    network: "Network",
    target: str,
    plan_file: Path | None,
    strategy: str | None,
    cores: int | None,
    profile: Path | None,
    budget_seconds: float | None,
    database: Path | None,
    exact: bool,
    advance: Callable[[str, int, int], None],
    precision: str | None = None,
    isa: str | None = None,
) -> tuple["Problem", "Plan"]:
    """What is known of the target, and the plan; the arguments are those of the command line."""
    from dlfusion import driver
    from dlfusion.targets import find_target

    device = find_target(target, precision, isa)
    task = driver.problem(network, device, cores, profile, exact=exact)
    if plan_file is not None:
        return task, driver.read_plan(network, plan_file, device, exact=exact)
    name = strategy or driver.default_strategy(task, device)
    plan = driver.choose(task, device, name, budget_seconds=budget_seconds, database=database, progress=advance)
    return task, plan
