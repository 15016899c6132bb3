"""`dlfusion compare`: all strategies on one target, every plan measured in one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import existing_or_new_folder, write_text

if TYPE_CHECKING:
    from dlfusion.report.strategies import Comparison

DEFAULT_OUTPUT = Path("dlfusion-compare")


def compare(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="ONNX files.", show_default=False)],
    target: options.Target = options.DEFAULT_TARGET,
    cores: options.Cores = None,
    strategies: Annotated[
        str | None,
        typer.Option("--strategies", metavar="NAME,NAME,...", help="Strategies to compare.  [default: all]"),
    ] = None,
    budget: options.Budget = None,
    oracle_depth: options.OracleDepth = None,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for Markdown, CSV, JSON, PNG and SVG.")
    ] = DEFAULT_OUTPUT,
    profile: options.ProfileFile = None,
    database: options.Database = None,
    shape: options.Shapes = None,
    exact: options.Exact = False,
    as_json: options.Json = False,
) -> None:
    """Compare strategies: latency, speed-up over baseline, regret against the oracle, blocks, search time.

    Every measurement is kept as it happens: after Ctrl-C the next run continues, and finished models are in the folder.
    The oracle keeps no budget: --oracle-depth bounds its work.
    """
    for model in models:
        options.existing_file(model, "an ONNX file")
    from dlfusion.bench.strategies import compare as run
    from dlfusion.report import table
    from dlfusion.report.plots import require_matplotlib
    from dlfusion.report.strategies import strategy_table
    from dlfusion.report.strategy_pages import write_comparison

    require_matplotlib()
    folder = existing_or_new_folder(out)
    files: tuple[Path, ...] = ()

    def keep(so_far: "Comparison") -> None:
        nonlocal files
        files = write_comparison(so_far, folder, write_text)

    with progress(quiet=as_json) as advance:
        comparison = run(
            list(models),
            target,
            strategies=None if strategies is None else [name.strip() for name in strategies.split(",") if name.strip()],
            cores=cores,
            profile=profile,
            budget_seconds=budget,
            oracle_depth=oracle_depth,
            database=database,
            shapes=options.parse_shapes(shape),
            exact=exact,
            progress=advance,
            finished=keep,
        )
    if as_json:
        print_json(comparison.document())
        return
    output().print(table.terminal(strategy_table(comparison)))
    messages().print(f"wrote {files[0]} and {len(files) - 1} files beside it", markup=False)
