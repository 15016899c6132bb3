"""Tables of a model's layers against the machine's limits, and of what fusion and cores gain."""

from dlfusion.machine.rates import Level, Rates
from dlfusion.report.layers import BlockGain, CoreReport, MeasuredLayer, ModelReport
from dlfusion.report.limits import GOOD_SHARE
from dlfusion.report.table import Column, Table
from dlfusion.report.units import bytes_text, cores_text, milliseconds, percent

_TIME_NOTE = (
    "Time: the fastest run of the layer, alone in a block of the whole program. GFLOP/s count the operations of the "
    "direct method whatever algorithm ran, so that a share of the peak can exceed 100 % with Winograd; the share "
    "`done` counts the products that Winograd leaves, and no rows of padding."
)
_BOUND_NOTE = (
    "Bound: the roofline: that arithmetic at the peak, or weights, input and output at the measured rate of the place "
    f"that they come from, whichever takes longer. Layers that do less than {percent(GOOD_SHARE)} of the peak say what "
    "holds them back; each part is what it would take alone, and parts overlap."
)
LAYER_NOTES = (_TIME_NOTE, _BOUND_NOTE)
"""How to read `layers_table`."""


def rates_table(report: ModelReport) -> Table:
    """The machine's limits, measured in the same run."""
    columns = (
        Column("cores"),
        Column("peak GFLOP/s"),
        *(Column(f"{level} GB/s") for level in Level),
        Column("start of a block, us"),
    )
    return Table(
        "The machine's limits, measured in the same run",
        columns,
        tuple(_rates_row(entry.rates) for entry in report.cores),
        (f"Measured on {report.machine}, {report.isa}, with {report.compiler}. GB/s: reading / writing; float32.",),
    )


def _rates_row(rates: Rates) -> tuple[str, ...]:
    read, write = rates.read_bytes_per_second, rates.write_bytes_per_second
    return (
        str(rates.cores),
        f"{rates.operations_per_second / 1e9:.1f}",
        *(f"{read[level] / 1e9:.1f} / {write[level] / 1e9:.1f}" for level in Level),
        f"{rates.start_seconds * 1e6:.2f}",
    )


def gains_table(report: ModelReport) -> Table:
    """What fusion and cores gained for the whole model."""
    columns = (
        Column("cores"),
        Column("unfused ms"),
        Column("planned ms"),
        Column("median"),
        Column("fusion gains"),
        Column("by medians"),
        Column("cores gain"),
        Column("GFLOP/s"),
        Column("of peak"),
        Column("layers below 80 %"),
    )
    rows = tuple(
        (
            str(entry.cores),
            milliseconds(entry.unfused.minimum_seconds),
            milliseconds(entry.planned.minimum_seconds),
            milliseconds(entry.planned.median_seconds),
            f"{entry.fusion_gain:.3f}",
            f"{entry.median_fusion_gain:.3f}",
            f"{report.core_gain(entry):.3f}",
            f"{entry.operations / entry.planned.minimum_seconds / 1e9:.1f}",
            percent(entry.share),
            f"{len(entry.held_back)} of {len(entry.layers)}",
        )
        for entry in report.cores
    )
    strategies = ", ".join(dict.fromkeys(entry.strategy for entry in report.cores))
    faster = "" if report.precision == "fp32" else " Shares are of the peak of fp32; products of bfloat16 may pass it."
    note = (
        f"Planned: the plan of strategy {strategies}. Unfused: the same kernels, every layer alone on all cores. Both "
        "ran in turns; gains are ratios of their fastest runs; cores are held against "
        f"{cores_text(report.cores[0].cores)}. Weights were stored as {report.precision}.{faster}"
    )
    return Table(f"{report.model}: what fusion and cores gain", columns, rows, (note,))


def blocks_table(report: CoreReport) -> Table:
    """Each fused block beside the sum of its layers alone."""
    columns = (
        Column("layers", number=False),
        Column("first", number=False),
        Column("last", number=False),
        Column("cores"),
        Column("fused ms"),
        Column("median"),
        Column("alone ms"),
        Column("median"),
        Column("gain"),
        Column("by medians"),
    )
    rows = tuple(_block_row(report, block) for block in report.blocks)
    title = f"Fused blocks on {cores_text(report.cores)} beside the same layers alone"
    return Table(title, columns, rows)


def _block_row(report: CoreReport, block: BlockGain) -> tuple[str, ...]:
    return (
        f"{block.first}-{block.last}",
        report.layers[block.first].work.label,
        report.layers[block.last].work.label,
        str(block.cores),
        milliseconds(block.fused.minimum_seconds),
        milliseconds(block.fused.median_seconds),
        milliseconds(block.unfused.minimum_seconds),
        milliseconds(block.unfused.median_seconds),
        f"{block.gain:.3f}",
        f"{block.median_gain:.3f}",
    )


def layers_table(report: CoreReport) -> Table:
    """Every layer: its time, its share of the peak, its bound, and what holds it back."""
    columns = (
        Column("#"),
        Column("layer", number=False),
        Column("shape", number=False),
        Column("algorithm", number=False),
        Column("ms"),
        Column("GFLOP/s"),
        Column("of peak"),
        Column("done"),
        Column("bytes"),
        Column("bound ms"),
        Column("held back by", number=False),
    )
    rows = tuple(_layer_row(layer) for layer in report.layers)
    return Table(f"Layers on {cores_text(report.cores)}", columns, (*rows, _sum_row(report)))


def _layer_row(layer: MeasuredLayer) -> tuple[str, ...]:
    work = layer.work
    counted = work.operations > 0
    return (
        str(work.index),
        work.label,
        work.shape,
        work.algorithm,
        milliseconds(layer.seconds),
        f"{layer.operations_per_second / 1e9:.1f}" if counted else "",
        percent(layer.share) if counted else "",
        percent(layer.arithmetic_share) if counted else "",
        bytes_text(work.bytes),
        milliseconds(layer.bound_seconds),
        "; ".join(layer.reasons),
    )


def _sum_row(report: CoreReport) -> tuple[str, ...]:
    seconds = sum(layer.seconds for layer in report.layers)
    rate = report.operations / seconds
    arithmetic = sum(layer.work.arithmetic for layer in report.layers) / seconds
    peak = report.rates.operations_per_second
    return (
        "",
        "all, one after the other",
        "",
        "",
        milliseconds(seconds),
        f"{rate / 1e9:.1f}",
        percent(rate / peak),
        percent(arithmetic / peak),
        "",
        milliseconds(report.bound_seconds),
        "",
    )
