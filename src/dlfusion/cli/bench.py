"""`dlfusion bench`: strategies against ONNX Runtime, OpenVINO, ncnn and MNN, all in turns in one run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import existing_or_new_folder, write_text
from dlfusion.errors import InputError

if TYPE_CHECKING:
    from dlfusion.report.record import Record


Models = Annotated[list[Path], typer.Argument(metavar="MODEL...", help="ONNX files.", show_default=False)]
Strategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", "-s", help="A strategy to measure; may be given several times.  [default: all]"),
]
Peers = Annotated[
    str | None,
    typer.Option(
        "--peers",
        metavar="NAME,NAME,...",
        help="Engines to compare with: onnxruntime, openvino, ncnn, mnn.  [default: all that are installed]",
    ),
]
CoreCounts = Annotated[
    list[str] | None, typer.Option("--cores", metavar="N,N,...", help="Core counts.  [default: 1 to all]")
]
Seconds = Annotated[float, typer.Option(min=0.01, help="Seconds of runs for each engine.")]
Memory = Annotated[bool, typer.Option(help="Measure peak memory too.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="A folder for tables, every sample and a picture.")
]
Samples = Annotated[Path | None, typer.Option("--samples", metavar="FILE", help="Write every sample as JSON.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")]


def bench(
    models: Models,
    strategies: Strategies = None,
    peers: Peers = None,
    cores: CoreCounts = None,
    seconds: Seconds = 3.0,
    precision: options.Precision = None,
    memory: Memory = True,
    shape: options.Shapes = None,
    exact: options.Exact = False,
    isa: options.IsaName = None,
    out: Output = None,
    samples: Samples = None,
    markdown: Markdown = False,
    as_json: options.Json = False,
) -> None:
    """Time models against other engines: minimum, median, ratio and peak memory for each engine and core count.

    Every engine runs in a process of its own, pinned to its cores, in turns with the others, and is compared with ONNX
    Runtime's outputs. With --isa avx2, AVX-512 is hidden from the peers too where the machine can do that. With
    --precision bf16, peers that have it use it too.
    """
    for model in models:
        options.existing_file(model, "an ONNX file")
    if samples is not None and not samples.parent.is_dir():
        raise InputError(f"cannot write {samples}: the folder {samples.parent} does not exist; make it first")
    from dlfusion.bench.compare import STRATEGIES, Options, compare
    from dlfusion.bench.engines import parse_peers
    from dlfusion.machine.host import usable_cores
    from dlfusion.report.plots import require_matplotlib
    from dlfusion.targets.cpu.precision import choose_precision

    if out is not None:
        require_matplotlib()
        existing_or_new_folder(out)
    chosen = Options(
        tuple(strategies) if strategies else STRATEGIES,
        options.core_counts(cores) or tuple(range(1, usable_cores() + 1)),
        seconds,
        memory,
        options.parse_shapes(shape),
        isa,
        None if peers is None else parse_peers(peers),
        choose_precision(precision or options.DEFAULT_PRECISION),
        exact,
    )
    with progress(quiet=as_json) as advance:
        record = compare(models, chosen, advance)
    if samples is not None:
        write_text(samples, json.dumps(record.document()) + "\n")
        messages().print(f"wrote {samples}", markup=False)
    if out is not None:
        _write_folder(record, out)
        messages().print(f"wrote the page, its pictures and every sample to {out}", markup=False)
    _show(record, markdown=markdown, as_json=as_json)


def _show(record: "Record", *, markdown: bool, as_json: bool) -> None:
    from dlfusion.report import table
    from dlfusion.report.comparisons import best_table, engine_table

    if as_json:
        print_json(record.summary())
        return
    tables = [engine_table(record), *([best_table(record)] if len(record.peers) > 1 else [])]
    if markdown:
        typer.echo("\n".join(table.markdown(part) for part in tables), nl=False)
        return
    for part in tables:
        output().print(table.terminal(part))


def _write_folder(record: "Record", folder: Path) -> None:
    from dlfusion.report.comparison_pages import STEM, write_comparison

    write_text(folder / f"{STEM}.json", json.dumps(record.document()) + "\n")
    write_comparison(record, folder, write_text)
