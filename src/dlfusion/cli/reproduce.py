"""`dlfusion reproduce`: the paper's evaluation, and the page about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import existing_or_new_folder, write_text

if TYPE_CHECKING:
    from dlfusion.report.reproduction import Reproduction

DEFAULT_OUTPUT = Path("dlfusion-reproduction")


def reproduce(
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", metavar="NAME", help="A target; may be given several times.  [default: mlu100 and cpu]"
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="NAME,...", help="Models of the zoo, or ONNX files.  [default: the paper's five]"
        ),
    ] = None,
    cores: options.Cores = None,
    budget: options.Budget = None,
    oracle_depth: options.OracleDepth = None,
    sensitivity: Annotated[
        bool, typer.Option(help="For simulated machines, halve and double each assumed number.")
    ] = True,
    exact: options.Exact = False,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the page.")
    ] = DEFAULT_OUTPUT,
    database: options.Database = None,
    as_json: options.Json = False,
) -> None:
    """Repeat the paper's evaluation on its five models and write one page with pictures.

    Every measurement is kept as it happens: after Ctrl-C the next run continues, and finished models are on the page.
    The oracle keeps no budget: --oracle-depth bounds its work.
    """
    from dlfusion.bench.reproduction import MODELS, TARGETS, Options
    from dlfusion.bench.reproduction import reproduce as run
    from dlfusion.report.plots import require_matplotlib
    from dlfusion.report.reproduction import write_page

    require_matplotlib()
    folder = existing_or_new_folder(out)
    named = MODELS if models is None else tuple(name.strip() for name in models.split(",") if name.strip())
    chosen = Options(
        cores=cores,
        budget_seconds=budget,
        oracle_depth=oracle_depth,
        database=database,
        sensitivity=sensitivity,
        exact=exact,
    )
    files: tuple[Path, ...] = ()

    def keep(so_far: "Reproduction") -> None:
        nonlocal files
        files = write_page(so_far, folder, write_text)

    with progress(quiet=as_json) as advance:
        found = run(targets or TARGETS, named, chosen, progress=advance, finished=keep)
    if as_json:
        print_json(found.document())
        return
    _show(found)
    messages().print(f"wrote {files[0]} and {len(files) - 1} files beside it", markup=False)


def _show(found: "Reproduction") -> None:
    from dlfusion.report import table
    from dlfusion.report.claims import claim_table, claims
    from dlfusion.report.strategies import strategy_table

    for part in found.parts:
        output().print(table.terminal(strategy_table(part.comparison)))
        output().print(table.terminal(claim_table(claims(part.comparison))))
