"""`dlfusion explain`: what a plan decides for a model and what that costs, without compiling anything."""

from pathlib import Path
from typing import Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import write_text
from dlfusion.cli.planning import planned


def explain(
    model: options.Model,
    target: options.Target = options.DEFAULT_TARGET,
    strategy: options.Strategy = None,
    cores: options.Cores = None,
    plan_file: options.PlanFile = None,
    profile: options.ProfileFile = None,
    budget: options.Budget = None,
    database: options.Database = None,
    shape: options.Shapes = None,
    exact: options.Exact = False,
    save: Annotated[
        Path | None,
        typer.Option("--save-plan", metavar="FILE", help="Write the plan as JSON, to edit and to compile with."),
    ] = None,
    why: Annotated[
        bool,
        typer.Option(
            "--why", help="For each boundary the cost of cutting and of merging, and each block's core counts."
        ),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show the blocks of a plan: layers, cores, step, recompute, buffers, traffic, and why each block ends."""
    options.existing_file(model, "an ONNX file")
    options.one_source_of_plans(plan_file, strategy, cores)
    from dlfusion import driver
    from dlfusion.report import table
    from dlfusion.report.blocks import block_table, summarize
    from dlfusion.report.why import boundary_table, core_table
    from dlfusion.report.why import document as why_document
    from dlfusion.search.why import reasons

    network = driver.import_model(model, shapes=options.parse_shapes(shape))
    with progress(quiet=as_json) as advance:
        task, plan = planned(network, target, plan_file, strategy, cores, profile, budget, database, exact, advance)
    if save is not None:
        write_text(save, plan.to_json())
        messages().print(f"wrote {save}", markup=False)
    summary = summarize(network, plan, cost=task.cost, element_bytes=task.machine.element_bytes)
    tables = [block_table(summary)]
    document = summary.document()
    if why:
        found = reasons(task, plan)
        tables += [boundary_table(found), core_table(found)]
        document["why"] = why_document(found)
    if as_json:
        print_json(document)
    elif markdown:
        typer.echo("\n".join(table.markdown(entry) for entry in tables), nl=False)
    else:
        for entry in tables:
            output().print(table.terminal(entry))
