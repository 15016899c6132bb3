"""How long it takes to decide: `python -m benchmarks.planning`, or with names of models of the zoo.

For each model and target the strategy `dlfusion`, after the import: minimum and median over fresh problems, so that no
plan is helped by what an earlier one remembered. The first plan of the process pays for caches of its own and is shown
apart.
"""

import statistics
import sys
import time
import warnings
from dataclasses import replace

from dlfusion import driver, zoo
from dlfusion.bench.reproduction import MODELS
from dlfusion.cli.console import guarded, output
from dlfusion.report.table import Column, Table, terminal
from dlfusion.search.problem import Problem
from dlfusion.search.strategies.dlfusion import DLFusion
from dlfusion.targets import find_target

TARGETS = ("cpu", "mlu100")
REPEATS = 15


@guarded
def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")  # that a profile is another machine's makes no difference to the time
    rows = []
    for model in sys.argv[1:] or MODELS:
        network = driver.import_model(zoo.build(model))
        for name in TARGETS:
            first, *others = plan_milliseconds(driver.problem(network, find_target(name)))
            shown = (first, min(others), statistics.median(others))
            rows.append((model, name, *(f"{value:.1f}" for value in shown)))
    texts, times = ("model", "target"), ("first ms", "minimum ms", "median ms")
    columns = (*(Column(name, number=False) for name in texts), *(Column(name) for name in times))
    output().print(terminal(Table("Planning by `dlfusion`", columns, tuple(rows), ())))


def plan_milliseconds(problem: Problem) -> list[float]:
    """Milliseconds of each of `REPEATS` plans of the same network, each made as if it were the first."""
    strategy = DLFusion()
    taken = []
    for _ in range(REPEATS):
        fresh = replace(problem, network=replace(problem.network))
        start = time.perf_counter()
        strategy.plan(fresh)
        taken.append((time.perf_counter() - start) * 1e3)
    return taken


if __name__ == "__main__":
    main()
