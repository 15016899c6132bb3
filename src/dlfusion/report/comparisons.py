"""Tables of comparisons with other engines."""

from dlfusion.report.record import OUR_TOLERANCES, PEER_TOLERANCES, Comparison, Engine, Record, geometric_means
from dlfusion.report.table import Column, Table
from dlfusion.report.units import bytes_text, cores_text, milliseconds

RATIO_NOTE = (
    "Ratio: how many times faster DLFusion is by fastest runs, above 1 it is faster; against a peer in that peer's "
    "row, against the best peer in a strategy's."
)
TURNS_NOTE = (
    "Each engine ran in a process of its own, pinned to as many cores as threads; all engines of a model and core "
    "count ran in turns, each while the threads of all others slept."
)
MEMORY_NOTE = (
    "Memory: highest resident memory of the engine's process, above what it had before it opened the model. Loading "
    "and optimizing count, which most engines do anew in each process; DLFusion's model was compiled before."
)
TOLERANCE_NOTE = (
    "In fp32, DLFusion's outputs may differ from ONNX Runtime's by "
    f"{OUR_TOLERANCES['fp32']:g} of their scale, a peer's by {PEER_TOLERANCES['fp32']:g}; in bf16 by "
    f"{OUR_TOLERANCES['bf16']:g} and {PEER_TOLERANCES['bf16']:g}; with more, a peer counts as one that cannot run."
)
CANNOT_RUN = "cannot run"


def engine_table(record: Record) -> Table:
    """Every engine on every model and core count; memory only where it was measured."""
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
        rows += [_engine_row(record, comparison, engine, weighed=weighed) for engine in comparison.engines]
        for name, twin in comparison.same_plan.items():
            words = (comparison.model, str(comparison.cores), f"{name} (same plan as {twin})")
            rows.append((*words, *("",) * (len(columns) - len(words))))
    notes = (RATIO_NOTE, TURNS_NOTE, *([MEMORY_NOTE] if weighed else []), TOLERANCE_NOTE, *_notes(record))
    return Table(_title(record), columns, tuple(rows), notes)


def best_table(record: Record) -> Table:
    """One row for each model and core count: DLFusion beside each peer. The table of the README.

    Where several strategies were measured, DLFusion's is the fastest, and a column names it.
    """
    several = record.strategy_count > 1
    columns = (
        Column("model", number=False),
        Column("cores"),
        Column("DLFusion"),
        *([Column("strategy", number=False)] if several else []),
        *(Column(_peer_heading(record, engine)) for engine in record.peers),
        Column("ratio"),
        Column("best peer", number=False),
        Column("DLFusion memory"),
        Column("ONNX Runtime memory"),
    )
    rows = [_best_row(record, comparison, named=several) for comparison in record.comparisons]
    for cores, ratio in geometric_means(record).items():
        empty = ("",) * (len(record.peers) + 1 + several)
        rows.append(("geometric mean of the paper's five", str(cores), *empty, f"{ratio:.2f}", "", "", ""))
    title = f"{_title(record)}, DLFusion: {ours_text(record)}" if several else _title(record)
    means = (
        f"Fastest run and, in brackets, the median, in ms; of DLFusion, that of {ours_text(record)}. Ratio: the best "
        "peer's fastest run over DLFusion's."
    )
    note = f"{_title(record)}. {means} {TURNS_NOTE} {MEMORY_NOTE} {TOLERANCE_NOTE}"
    return Table(title, columns, tuple(rows), (note, *_notes(record)))


def ours_text(record: Record) -> str:
    """What DLFusion's times are of: `strategy dlfusion`, or `the fastest of 3 strategies`."""
    if record.strategy_count > 1:
        return f"the fastest of {record.strategy_count} strategies"
    return f"strategy {record.comparisons[0].best.name}" if record.comparisons else "no strategy"


def _title(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    kept = "" if record.isa is None else f", instructions: {record.isa}"
    return f"Measured on {record.machine} in {record.precision}{kept} ({versions})"


def _notes(record: Record) -> tuple[str, ...]:
    """What a reader must know about single engines: other precisions and instructions, and why some did not run."""
    notes = []
    other = [engine for engine in record.peers if engine.precision != record.precision]
    if other:
        names = ", ".join(engine.title for engine in other)
        notes.append(f"{names}: in {other[0].precision}, because {record.precision} is not offered.")
    free = [engine.title for engine in record.peers if engine.name in record.unrestricted]
    if free:
        notes.append(f"{', '.join(free)}: not kept to {record.isa}; all instructions of the machine are used.")
    reasons: dict[str, list[str]] = {}
    for comparison in record.comparisons:
        for engine in comparison.engines:
            if engine.problem is not None:
                where = f"{comparison.model} on {cores_text(comparison.cores)}"
                reasons.setdefault(f"{engine.title} {CANNOT_RUN}: {engine.problem}", []).append(where)
    notes += [f"{reason} ({', '.join(where)})." for reason, where in reasons.items()]
    return tuple(notes)


def _peer_heading(record: Record, engine: Engine) -> str:
    return engine.title if engine.precision == record.precision else f"{engine.title} ({engine.precision})"


def _engine_row(record: Record, comparison: Comparison, engine: Engine, *, weighed: bool) -> tuple[str, ...]:
    name = _peer_heading(record, engine) if engine.is_peer else engine.name
    times = (milliseconds(engine.minimum_seconds), milliseconds(engine.median_seconds))
    return (
        comparison.model,
        str(comparison.cores),
        name,
        *(times if engine.samples_seconds else (CANNOT_RUN, "")),
        _ratio(comparison, engine),
        *([_memory(engine)] if weighed else []),
        "" if engine.largest_difference is None else f"{engine.largest_difference:.0e}",
        str(len(engine.samples_seconds)),
    )


def _best_row(record: Record, comparison: Comparison, *, named: bool) -> tuple[str, ...]:
    best, best_peer = comparison.best, comparison.best_peer
    return (
        comparison.model,
        str(comparison.cores),
        _times(best),
        *([best.name] if named else []),
        *(_times(comparison.peer(engine.name)) for engine in record.peers),
        _ratio(comparison, best),
        "" if best_peer is None else best_peer.title,
        _memory(best),
        _memory(comparison.peer("onnxruntime")),
    )


def _times(engine: Engine | None) -> str:
    if engine is None:
        return ""
    if not engine.samples_seconds:
        return CANNOT_RUN
    return f"{milliseconds(engine.minimum_seconds)} ({milliseconds(engine.median_seconds)})"


def _ratio(comparison: Comparison, engine: Engine) -> str:
    ratio = comparison.ratio(engine)
    return "" if ratio is None else f"{ratio:.2f}"


def _memory(engine: Engine | None) -> str:
    return "" if engine is None or engine.peak_memory_bytes is None else bytes_text(engine.peak_memory_bytes)
