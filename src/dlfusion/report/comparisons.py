"""Tables of comparisons with ONNX Runtime."""

from dlfusion.report.record import Comparison, Engine, Record
from dlfusion.report.table import Column, Table
from dlfusion.report.units import bytes_text, milliseconds

RATIO_NOTE = (
    "Ratio: ONNX Runtime's fastest run over the engine's, above 1 the engine is faster. All engines of a model and "
    "core count ran in turns in one process pinned to that many cores."
)
MEMORY_NOTE = "Memory: highest resident memory of a process of its own, above its start."


def engine_table(record: Record) -> Table:
    """Every engine on every model and core count: the table of `dlfusion bench`; memory only where it was measured."""
    weighed = any(engine.peak_memory_bytes is not None for entry in record.comparisons for engine in entry.engines)
    columns = (
        Column("model", number=False),
        Column("cores"),
        Column("engine", number=False),
        Column("min ms"),
        Column("median ms"),
        Column("ratio"),
        *([Column("memory")] if weighed else []),
        Column("difference"),
        Column("runs"),
    )
    rows = []
    for comparison in record.comparisons:
        rows += [_engine_row(comparison, engine, weighed=weighed) for engine in comparison.engines]
        for name, twin in comparison.same_plan.items():
            words = (comparison.model, str(comparison.cores), f"{name} (same plan as {twin})")
            rows.append((*words, *("",) * (len(columns) - len(words))))
    return Table(_title(record), columns, tuple(rows), (RATIO_NOTE, *([MEMORY_NOTE] if weighed else [])))


def best_table(record: Record) -> Table:
    """One row for each model and core count, with the best strategy: the table of the README."""
    columns = (
        Column("model", number=False),
        Column("cores"),
        Column("ONNX Runtime ms"),
        Column("DLFusion ms"),
        Column("ratio"),
        Column("strategy", number=False),
        Column("ONNX Runtime memory"),
        Column("DLFusion memory"),
    )
    rows = tuple(_best_row(comparison) for comparison in record.comparisons)
    return Table(_title(record), columns, rows, (f"{_title(record)}. Fastest runs. {RATIO_NOTE} {MEMORY_NOTE}",))


def _title(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
    return f"Measured on {record.machine} ({versions})"


def _engine_row(comparison: Comparison, engine: Engine, *, weighed: bool) -> tuple[str, ...]:
    difference = engine.largest_difference
    return (
        comparison.model,
        str(comparison.cores),
        engine.name,
        milliseconds(engine.minimum_seconds),
        milliseconds(engine.median_seconds),
        f"{comparison.ratio(engine):.2f}",
        *([_memory(engine)] if weighed else []),
        "" if difference is None else f"{difference:.0e}",
        str(len(engine.samples_seconds)),
    )


def _best_row(comparison: Comparison) -> tuple[str, ...]:
    best = comparison.best
    return (
        comparison.model,
        str(comparison.cores),
        milliseconds(comparison.peer.minimum_seconds),
        milliseconds(best.minimum_seconds),
        f"{comparison.ratio(best):.2f}",
        best.name,
        _memory(comparison.peer),
        _memory(best),
    )


def _memory(engine: Engine) -> str:
    return "" if engine.peak_memory_bytes is None else bytes_text(engine.peak_memory_bytes)
