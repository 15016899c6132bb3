"""`dlfusion layers`: every layer of a model against the machine's limits, and what fusion and cores gain."""

from pathlib import Path
from typing import Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import existing_or_new_folder, write_text


def layers(
    model: options.Model,
    strategy: options.Strategy = None,
    cores: Annotated[
        list[str] | None, typer.Option("--cores", metavar="N,N,...", help="Core counts.  [default: 1 and all]")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of runs for each program.")] = 3.0,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="A folder for a page with the roofline's picture."),
    ] = None,
    shape: options.Shapes = None,
    exact: options.Exact = False,
    isa: options.IsaName = None,
    precision: options.Precision = None,
    as_json: options.Json = False,
) -> None:
    """Time every layer: share of the machine's peak, what holds it back, and what fusion and cores gain.

    The strategy's plan and the same kernels unfused run in turns with loops that measure the machine's peak and
    bandwidths. Run it on a quiet machine.
    """
    options.existing_file(model, "an ONNX file")
    from dlfusion.bench.layers import Options, measure_layers
    from dlfusion.machine.host import usable_cores
    from dlfusion.report import table
    from dlfusion.report.layer_pages import write_page
    from dlfusion.report.layer_tables import LAYER_NOTES, blocks_table, gains_table, layers_table, rates_table
    from dlfusion.report.plots import require_matplotlib

    if out is not None:
        require_matplotlib()
        existing_or_new_folder(out)
    counts = options.core_counts(cores) or (1, usable_cores())
    storage = precision or options.DEFAULT_PRECISION
    chosen = Options(counts, strategy or options.DEFAULT_STRATEGY, seconds, isa, exact, storage)
    with progress(quiet=as_json) as advance:
        report = measure_layers(model, chosen, shapes=options.parse_shapes(shape), progress=advance)
    if out is not None:
        page, picture = write_page(report, out, write_text)
        messages().print(f"wrote {page} and {picture}", markup=False)
    if as_json:
        print_json(report.document())
        return
    shown = [rates_table(report)]
    for entry in report.cores:
        shown += [layers_table(entry), *([blocks_table(entry)] if entry.blocks else [])]
    for part in [*shown, gains_table(report)]:
        output().print(table.terminal(part))
    for note in LAYER_NOTES:
        output().print(note, markup=False)
