"""`dlfusion explain`: what a plan decides for a model and what that costs, without compiling anything."""

from pathlib import Path
from typing import Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json
from dlfusion.cli.files import write_text


def explain(
    model: options.Model,
    strategy: options.Strategy = options.DEFAULT_STRATEGY,
    cores: options.Cores = None,
    plan_file: options.PlanFile = None,
    shape: options.Shapes = None,
    save: Annotated[
        Path | None,
        typer.Option("--save-plan", metavar="FILE", help="Write the plan as JSON, to edit and to compile with."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show the blocks of a plan: layers, cores, step, recompute, buffers, traffic, and why each block ends."""
    options.existing_file(model, "an ONNX file")
    from dlfusion import driver
    from dlfusion.report import table
    from dlfusion.report.blocks import block_table, summarize

    network = driver.import_model(model, shapes=options.parse_shapes(shape))
    if plan_file is not None:
        plan = driver.read_plan(network, plan_file)
    else:
        plan = driver.make_plan(network, strategy=strategy, cores=cores)
    if save is not None:
        write_text(save, plan.to_json())
        messages().print(f"wrote {save}", markup=False)
    summary = summarize(network, plan)
    if as_json:
        print_json(summary.document())
    elif markdown:
        typer.echo(table.markdown(block_table(summary)), nl=False)
    else:
        output().print(table.terminal(block_table(summary)))
