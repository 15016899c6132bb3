"""`dlfusion explain --why` as tables: predictions of cutting against merging, and of every core count."""

from dataclasses import asdict
from typing import Any

from dlfusion.report.table import Column, Table
from dlfusion.search.why import BlockReason, Boundary, Change, Reasons

_MARK = "*"
_MOST_CHANGES = 3
_LEAST_CHANGE_SECONDS = 0.05e-6
"""Less is not shown: times have one decimal of a microsecond."""


def document(reasons: Reasons) -> dict[str, Any]:
    """The reasons as JSON can hold them; units are in the names."""
    shown = asdict(reasons)
    for boundary, entry in zip(reasons.boundaries, shown["boundaries"], strict=True):
        entry["agrees"] = boundary.agrees
    return shown


def boundary_table(reasons: Reasons) -> Table:
    """One row for each boundary between layers: what cutting and merging there would cost, and what decided."""
    columns = (
        Column("boundary"),
        Column("between layers", number=False),
        Column("plan", number=False),
        Column("cut us"),
        Column("merged us"),
        Column("saved us"),
        Column("decided by", number=False),
        Column("us cut > merged", number=False),
    )
    rows = tuple(_boundary(reasons, boundary) for boundary in reasons.boundaries)
    against = sum(not boundary.agrees for boundary in reasons.boundaries)
    judged = (
        "The plan agrees with the prediction at every boundary."
        if not against
        else f"At {against} of {len(reasons.boundaries)} boundaries the other way is predicted to be faster (marked "
        "!); each boundary is judged alone, with the rest of the plan as it is."
    )
    note = (
        f"Predicted by the cost model {reasons.cost_model}; the way that the plan did not take is shown at its "
        "predicted best over cores, step, partition and algorithms. Saved: what the plan's way saves."
    )
    return Table(
        f"{reasons.model}: boundaries by {reasons.strategy} on {reasons.machine}", columns, rows, (note, judged)
    )


def core_table(reasons: Reasons) -> Table:
    """One row for each block: its predicted time on every core count, the chosen one marked."""
    counts = [choice.cores for choice in reasons.blocks[0].choices] if reasons.blocks else []
    columns = (
        Column("block"),
        Column("layers"),
        *(Column(f"{count} core{'s' if count > 1 else ''} us") for count in counts),
        Column("largest terms", number=False),
    )
    rows = tuple(_block(block) for block in reasons.blocks)
    note = (
        f"Microseconds predicted by {reasons.cost_model}. {_MARK} marks the plan's choice; other core counts are "
        "shown at their predicted best step, partition and algorithms; - cannot be run."
    )
    return Table(f"{reasons.model}: cores by {reasons.strategy} on {reasons.machine}", columns, rows, (note,))


def _boundary(reasons: Reasons, boundary: Boundary) -> tuple[str, ...]:
    names = f"{reasons.layers[boundary.after]} | {reasons.layers[boundary.after + 1]}"
    merged = boundary.merged_seconds
    saved = ""
    if merged is not None:
        gain = merged - boundary.cut_seconds
        saved = f"{(gain if boundary.cut else -gain) * 1e6:.1f}"
    return (
        f"{boundary.after}|{boundary.after + 1}",
        names,
        ("cut" if boundary.cut else "merged") + ("" if boundary.agrees else " !"),
        _microseconds(boundary.cut_seconds),
        "illegal" if merged is None else _microseconds(merged),
        saved,
        boundary.decided,
        boundary.problem or _largest_changes(boundary),
    )


def _largest_changes(boundary: Boundary) -> str:
    """The deciding term first, then those that change most; terms that stay are left out."""
    order = sorted(boundary.changes, key=lambda change: (change.term != boundary.decided, -_size(change)))
    shown = [change for change in order if _size(change) >= _LEAST_CHANGE_SECONDS][:_MOST_CHANGES]
    return ", ".join(
        f"{change.term} {_microseconds(change.cut_seconds)} > {_microseconds(change.merged_seconds)}"
        for change in shown
    )


def _size(change: Change) -> float:
    return abs(change.saved_by_cutting)


def _block(block: BlockReason) -> tuple[str, ...]:
    span = str(block.first) if block.first == block.last else f"{block.first}-{block.last}"
    cells = []
    for choice in block.choices:
        text = "-" if choice.seconds is None else _microseconds(choice.seconds)
        cells.append(text + (f" {_MARK}" if choice.chosen else ""))
    largest = sorted(block.terms, key=lambda term: -abs(term[1]))[:3]
    terms = ", ".join(f"{name} {_microseconds(seconds)}" for name, seconds in largest if seconds)
    return (str(block.index), span, *cells, terms)


def _microseconds(seconds: float) -> str:
    return f"{round(seconds * 1e6, 1) + 0.0:.1f}"  # adding 0.0 turns -0.0 into 0.0
