"""`dlfusion bench`: strategies against ONNX Runtime, all in turns in one run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import write_text
from dlfusion.errors import InputError


def bench(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="ONNX files.", show_default=False)],
    strategies: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", help="A strategy to measure; may be given several times.  [default: all]"),
    ] = None,
    cores: Annotated[
        list[int] | None,
        typer.Option("--cores", min=1, help="A core count; may be given several times.  [default: 1 to all]"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of runs for each engine.")] = 3.0,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too, each engine in a process of its own.")] = True,
    shape: options.Shapes = None,
    isa: options.IsaName = None,
    samples: Annotated[
        Path | None, typer.Option("--samples", metavar="FILE", help="Write every sample as JSON.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_json: options.Json = False,
) -> None:
    """Time models against ONNX Runtime: minimum, median, ratio and peak memory for each strategy and core count."""
    for model in models:
        options.existing_file(model, "an ONNX file")
    if samples is not None and not samples.parent.is_dir():
        raise InputError(f"cannot write {samples}: the folder {samples.parent} does not exist; make it first")
    from dlfusion.bench.compare import STRATEGIES, Options, compare
    from dlfusion.machine.host import usable_cores
    from dlfusion.report import table
    from dlfusion.report.comparisons import engine_table

    counts = tuple(cores) if cores else tuple(range(1, usable_cores() + 1))
    chosen = Options(
        tuple(strategies) if strategies else STRATEGIES,
        counts,
        seconds,
        memory,
        options.parse_shapes(shape),
        isa,
    )
    with progress(quiet=as_json) as advance:
        record = compare(models, chosen, advance)
    if samples is not None:
        write_text(samples, json.dumps(record.document()) + "\n")
        messages().print(f"wrote {samples}", markup=False)
    if as_json:
        print_json(record.summary())
    elif markdown:
        typer.echo(table.markdown(engine_table(record)), nl=False)
    else:
        output().print(table.terminal(engine_table(record)))
