"""A plan explained: one row per block, with all that the row arithmetic says about it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dlfusion.cost.model import CostModel
from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Layer, Network
from dlfusion.plans.memory import peak_tensor_bytes
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.plans.traffic import arena_bytes, block_traffic, line_buffer_bytes, operations, recompute_ratio
from dlfusion.report.table import Column, Table
from dlfusion.report.units import bytes_text, milliseconds, operations_text, percent

MOST_LABELS = 4
"""Layers that a cell names; longer blocks name their first and last ones."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """What there is to know of a block without running it.

    `first` and `last` are the indices of its layers, as a plan's JSON has them; `algorithms` has one entry for each of
    them. `recompute` is the share of operations spent on rows that another band computes too: 0.02 is two percent more
    than the layers alone. `line_buffer_bytes`
    counts the rows that a step hands to the next, `arena_bytes` the whole rings of one core. `predicted_seconds` is
    what a cost model says, `seconds` a measured time, where there is one.
    """

    index: int
    first: int
    last: int
    layers: tuple[str, ...]
    labels: tuple[str, ...]
    algorithms: tuple[str, ...]
    cores: int
    partition: str
    step_rows: int
    operations: int
    recompute: float
    line_buffer_bytes: int
    arena_bytes: int
    traffic_bytes: int
    reason: str
    predicted_seconds: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan's rows and its sums. `unfused_traffic_bytes` is the traffic of the same layers, each alone on one core.

    Both count weights as the algorithms of the plan store them.
    """

    model: str
    strategy: str
    rows: tuple[BlockRow, ...]
    traffic_bytes: int
    unfused_traffic_bytes: int
    peak_tensor_bytes: int
    unfused_peak_tensor_bytes: int

    def document(self) -> dict[str, Any]:
        """The summary as JSON can hold it; units are in the names."""
        return asdict(self)


def layer_label(layer: Layer) -> str:
    """A layer in a few words: its anchor and its epilogue, such as `Conv 3x3 s2 + Relu`."""
    return " + ".join(node.operator.label for node in layer.nodes)


def summarize(
    network: Network,
    plan: Plan,
    seconds: Sequence[float] | None = None,
    cost: CostModel | None = None,
    element_bytes: int = FLOAT_BYTES,
) -> PlanSummary:
    """The plan's blocks as rows. `seconds` holds a measured time for each block, `cost` predicts them.

    Raises:
        ValueError: there are more or fewer times than blocks.
    """
    times: Sequence[float | None] = [None] * len(plan.blocks) if seconds is None else seconds
    rows = tuple(
        _row(network, index, block, time, cost, element_bytes)
        for index, (block, time) in enumerate(zip(plan.blocks, times, strict=True))
    )
    named = {entry[0]: (entry,) for block in plan.blocks for entry in block.algorithms}
    alone = tuple(
        Block(index, index, cores=1, step_rows=_WHOLE_BAND, algorithms=named.get(index, ()))
        for index in range(len(network.layers))
    )
    unfused = Plan(plan.graph_digest, plan.machine, "baseline", alone)
    return PlanSummary(
        model=network.graph.name,
        strategy=plan.strategy,
        rows=rows,
        traffic_bytes=sum(row.traffic_bytes for row in rows),
        unfused_traffic_bytes=sum(
            block_traffic(network, schedule(network, block), element_bytes).total_bytes for block in alone
        ),
        peak_tensor_bytes=peak_tensor_bytes(network, plan, element_bytes),
        unfused_peak_tensor_bytes=peak_tensor_bytes(network, unfused, element_bytes),
    )


_WHOLE_BAND = 1 << 20
"""More rows than any map has: the whole band in one step."""


def _row(
    network: Network, index: int, block: Block, seconds: float | None, cost: CostModel | None, element_bytes: int
) -> BlockRow:
    layers = [network.layers[layer] for layer in block.layers]
    timetable = schedule(network, block)
    return BlockRow(
        index=index,
        first=block.first,
        last=block.last,
        layers=tuple(layer.name for layer in layers),
        labels=tuple(layer_label(layer) for layer in layers),
        algorithms=tuple(str(block.algorithm(index)) for index in block.layers),
        cores=block.cores,
        partition=block.partition.value,
        step_rows=block.step_rows,
        operations=operations(network, timetable),
        recompute=recompute_ratio(network, timetable) - 1,
        line_buffer_bytes=line_buffer_bytes(network, timetable, element_bytes) if len(layers) > 1 else 0,
        arena_bytes=arena_bytes(network, timetable, element_bytes),
        traffic_bytes=block_traffic(network, timetable, element_bytes).total_bytes,
        reason=block.reason,
        predicted_seconds=None if cost is None else cost.block(network, timetable).seconds,
        seconds=seconds,
    )


def block_table(summary: PlanSummary, *, reasons: bool = True) -> Table:
    """The table of `dlfusion explain`; with columns of predicted and measured times where all blocks have one."""
    timed = bool(summary.rows) and all(row.seconds is not None for row in summary.rows)
    predicted = bool(summary.rows) and all(row.predicted_seconds is not None for row in summary.rows)
    columns = [
        Column("block"),
        Column("layers", number=False),
        Column("cores"),
        Column("partition", number=False),
        Column("step"),
        Column("work"),
        Column("recompute"),
        Column("line buffers"),
        Column("arena/core"),
        Column("traffic"),
        *([Column("predicted ms")] if predicted else []),
        *([Column("ms")] if timed else []),
        *([Column("why it ends", number=False)] if reasons else []),
    ]
    rows = tuple(_cells(row, predicted=predicted, timed=timed, reasons=reasons) for row in summary.rows)
    count = "1 block" if len(rows) == 1 else f"{len(rows)} blocks"
    return Table(f"{summary.model}: {count} by {summary.strategy}", tuple(columns), rows, _notes(summary))


def _cells(row: BlockRow, *, predicted: bool, timed: bool, reasons: bool) -> tuple[str, ...]:
    whole = row.partition == Partition.CHANNELS.value
    cells = [
        str(row.index),
        _layers_cell(row),
        str(row.cores),
        row.partition,
        "all" if whole else str(row.step_rows),
        operations_text(row.operations),
        percent(row.recompute),
        bytes_text(row.line_buffer_bytes),
        bytes_text(row.arena_bytes),
        bytes_text(row.traffic_bytes),
    ]
    if predicted and row.predicted_seconds is not None:
        cells.append(milliseconds(row.predicted_seconds))
    if timed and row.seconds is not None:
        cells.append(milliseconds(row.seconds))
    if reasons:
        cells.append(row.reason)
    return tuple(cells)


def _layers_cell(row: BlockRow) -> str:
    span = str(row.first) if row.first == row.last else f"{row.first}-{row.last}"
    labels = [
        label if name == Algorithm.DIRECT else f"{label} by {name}"
        for label, name in zip(row.labels, row.algorithms, strict=True)
    ]
    if len(labels) <= MOST_LABELS:
        return f"{span}: {', '.join(labels)}"
    more = f"{len(labels) - 3} more{_counted(row.algorithms[2:-1])}"
    return f"{span}: {labels[0]}, {labels[1]}, ... {more} ..., {labels[-1]}"


def _counted(algorithms: Sequence[str]) -> str:
    """How many layers are not computed directly, such as ` (2 by winograd4)`; empty if all are."""
    others = Counter(name for name in algorithms if name != Algorithm.DIRECT)
    return f" ({', '.join(f'{count} by {name}' for name, count in sorted(others.items()))})" if others else ""


def _notes(summary: PlanSummary) -> tuple[str, ...]:
    share = summary.traffic_bytes / summary.unfused_traffic_bytes if summary.unfused_traffic_bytes else 1.0
    traffic = (
        f"Memory traffic of one run: {bytes_text(summary.traffic_bytes)}, layer by layer on one core "
        f"{bytes_text(summary.unfused_traffic_bytes)} ({percent(share)})."
    )
    tensors = (
        f"Tensors between blocks: at most {bytes_text(summary.peak_tensor_bytes)} at a time, layer by layer "
        f"{bytes_text(summary.unfused_peak_tensor_bytes)}."
    )
    return traffic, tensors
