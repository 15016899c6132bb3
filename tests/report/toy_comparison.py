"""A comparison with planted numbers: what the tests of tables, pages and figures share."""

from dataclasses import replace
from pathlib import Path

from dlfusion.plans.plan import Block, Plan
from dlfusion.report.strategies import Comparison, ModelComparison, OracleStatistics, Shares, StrategyResult

LAYERS = 6


def write(path: Path, text: str) -> None:
    """Writes a text file."""
    path.write_text(text, encoding="utf-8")


def blocks(*pieces: tuple[int, int, int]) -> tuple[Block, ...]:
    """Blocks of (first, last, cores)."""
    return tuple(Block(first, last, cores, reason="planted") for first, last, cores in pieces)


ALONE = blocks(*((index, index, 1) for index in range(LAYERS)))
FUSED = blocks((0, 3, 4), (4, 5, 2))


def result(strategy: str, samples: tuple[float, ...], plan: tuple[Block, ...], search_seconds: float) -> StrategyResult:
    """A strategy's result on a simulated target."""
    return StrategyResult(
        model="toy",
        target="toy_npu",
        simulated=True,
        cores=4,
        strategy=strategy,
        plan=Plan("digest", "machine", strategy, plan),
        samples=samples,
        search_seconds=search_seconds,
        predicted_seconds=samples[0],
        shares=Shares(0.2, 0.5, 0.4),
    )


def model_comparison(name: str = "toy") -> ModelComparison:
    """Baseline 8 / 9 ms, dlfusion 2.2 / 2.5 ms, tuned 2 / 2 ms, oracle 2 / 2 ms (fastest run, run in the middle)."""
    results = (
        result("baseline", (0.009, 0.008, 0.010), ALONE, 1e-4),
        result("dlfusion", (0.0025, 0.0022, 0.0030), FUSED, 0.020),
        result("tuned", (0.002, 0.002, 0.002), blocks((0, 4, 4), (5, 5, 1)), 30.0),
        result("oracle:3", (0.002, 0.002, 0.002), blocks((0, 4, 4), (5, 5, 1)), 60.0),
    )
    renamed = tuple(replace(entry, model=name) for entry in results)
    return ModelComparison(name, LAYERS, renamed, OracleStatistics(3, 120, 10**40, 60.0))


def comparison(simulated: bool = True) -> Comparison:
    """Two models with the same numbers."""
    models: tuple[ModelComparison, ...] = (model_comparison("toy"), model_comparison("second/toy"))
    if not simulated:
        models = tuple(
            replace(model, results=tuple(replace(entry, simulated=False, shares=None) for entry in model.results))
            for model in models
        )
    return Comparison("toy_npu", simulated, "toy machine; 4 cores", "toy 1", models)
