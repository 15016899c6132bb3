"""`dlfusion compile`: from an ONNX file to a folder with a shared library that needs neither Python nor DLFusion."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import ProgressCallback, output, print_json, progress
from dlfusion.errors import InputError

if TYPE_CHECKING:
    from dlfusion.driver import CompiledModel
    from dlfusion.report.blocks import PlanSummary

MEASURE_SECONDS = 1.0
"""How long the compiled model runs to time its blocks."""

FEWEST_RUNS = 3


def compile_model(
    model: options.Model,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="The folder to write.  [default: MODEL's name + .dlfusion]"),
    ] = None,
    strategy: options.Strategy = options.DEFAULT_STRATEGY,
    cores: options.Cores = None,
    plan_file: options.PlanFile = None,
    shape: options.Shapes = None,
    isa: options.IsaName = None,
    check: Annotated[bool, typer.Option(help="Check the result against the reference, and time the blocks.")] = True,
    as_json: options.Json = False,
) -> None:
    """Compile a model: import, plan, generate, build, check, measure."""
    options.existing_file(model, "an ONNX file")
    folder = out if out is not None else Path(model.stem + ".dlfusion")
    if folder.is_file():
        raise InputError(f"--output {folder} is a file; name a folder")
    from dlfusion import driver
    from dlfusion.report import table
    from dlfusion.report.blocks import block_table, summarize

    with progress(quiet=as_json) as advance:
        compiled = driver.compile(
            model,
            strategy=strategy,
            cores=cores,
            plan=plan_file,
            shapes=options.parse_shapes(shape),
            isa=isa,
            folder=folder,
            progress=advance,
        )
        seconds = None
        difference = None
        if check:
            advance("check", 0, 1)
            difference = driver.verify(compiled).largest_difference
            advance("check", 1, 1)
            seconds = block_seconds(compiled, advance)
    summary = summarize(compiled.network, compiled.plan, seconds)
    if as_json:
        print_json(_document(compiled, summary, difference))
        return
    console = output()
    console.print(table.terminal(block_table(summary)))
    if seconds is not None and difference is not None:
        console.print(f"Checked: differs from the reference by at most {difference:.1e} of the output's scale.")
        console.print(f"One run takes {sum(seconds) * 1e3:.2f} ms (median of each block, summed).")
    console.print(f"Built in {compiled.build_seconds:.1f} s.", markup=False)
    console.print(f"Files: {compiled.folder}", markup=False)


def block_seconds(compiled: "CompiledModel", advance: ProgressCallback) -> tuple[float, ...]:
    """The median time of each block over about a second of runs on random inputs."""
    import numpy as np

    from dlfusion.bench.inputs import random_inputs

    inputs = random_inputs(compiled.network.graph.inputs)
    advance("measure", 0, 1)
    compiled.profile(*inputs)
    samples = []
    end = time.perf_counter() + MEASURE_SECONDS
    while len(samples) < FEWEST_RUNS or time.perf_counter() < end:
        samples.append(compiled.profile(*inputs))
    advance("measure", 1, 1)
    return tuple(float(median) for median in np.median(np.array(samples), axis=0))


def _document(
    compiled: "CompiledModel", summary: "PlanSummary", difference: float | None
) -> dict[str, object]:
    return {
        "folder": str(compiled.folder),
        "build_seconds": compiled.build_seconds,
        "largest_relative_difference": difference,
        "plan": summary.document(),
    }
