"""`dlfusion compile`: from an ONNX file to a folder that needs neither Python nor DLFusion.

For the CPU that is a shared library; for an MLU-100 it is a C++ project, to be built where its SDK is.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import output, print_json, progress
from dlfusion.cli.planning import planned
from dlfusion.errors import InputError

if TYPE_CHECKING:
    from dlfusion.driver import CompiledModel
    from dlfusion.layers.layer import Network
    from dlfusion.report.blocks import PlanSummary

MEASURE_SECONDS = 0.3
"""How long the compiled model runs to time its blocks."""

FEWEST_RUNS = 3


def compile_model(
    model: options.Model,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="The folder to write.  [default: MODEL's name + .dlfusion]"),
    ] = None,
    target: options.Target = options.DEFAULT_TARGET,
    strategy: options.Strategy = None,
    cores: options.Cores = None,
    plan_file: options.PlanFile = None,
    profile: options.ProfileFile = None,
    budget: options.Budget = None,
    database: options.Database = None,
    shape: options.Shapes = None,
    exact: options.Exact = False,
    isa: options.IsaName = None,
    precision: options.Precision = None,
    check: Annotated[bool, typer.Option(help="Check the result against the reference, and time the blocks.")] = True,
    as_json: options.Json = False,
) -> None:
    """Compile a model: import, plan, generate, build, check, measure; for the mlu100, write its C++ project."""
    options.existing_file(model, "an ONNX file")
    options.one_source_of_plans(plan_file, strategy, cores)
    folder = out if out is not None else Path(model.stem + ".dlfusion")
    if folder.is_file():
        raise InputError(f"--output {folder} is a file; name a folder")
    is_project = _is_project(target, {"--isa": isa, "--precision": precision})
    from dlfusion import driver
    from dlfusion.report.blocks import summarize

    with progress(quiet=as_json) as advance:
        advance("import", 0, 1)
        network = driver.import_model(model, shapes=options.parse_shapes(shape))
        if is_project:
            driver.check_project(network)
        advance("plan", 0, 1)
        task, plan = planned(
            network, target, plan_file, strategy, cores, profile, budget, database, exact, advance, precision, isa
        )
        if is_project:
            advance("generate", 0, 1)
            driver.write_project(network, plan, folder)
            advance("generate", 1, 1)
        else:
            storage = precision or options.DEFAULT_PRECISION
            compiled = driver.compile(
                network, plan=plan, isa=isa, exact=exact, precision=storage, folder=folder, progress=advance
            )
            seconds, verdict = None, None
            if check:
                advance("check", 0, 1)
                verdict = _check(model, network, compiled)
                advance("measure", 0, 1)
                seconds = _block_seconds(network, compiled)
                advance("measure", 1, 1)
    if is_project:
        summary = summarize(network, plan, cost=task.cost, element_bytes=task.machine.element_bytes)
        _report_project(folder, summary, as_json)
    else:
        _report(compiled, summarize(network, plan, seconds, task.cost), seconds, verdict, as_json)


def _is_project(target: str, cpu_options: Mapping[str, str | None]) -> bool:
    """Whether a project is written for the target, and not a shared library built.

    Raises:
        InputError: nothing is generated for the target, or an option for the CPU would have no effect.
    """
    from dlfusion.driver import PROJECT_TARGETS

    if target == options.DEFAULT_TARGET:
        return False
    if target not in PROJECT_TARGETS:
        known = ", ".join((options.DEFAULT_TARGET, *PROJECT_TARGETS))
        raise InputError(
            f"--target {target}: programs are generated for {known} only; `dlfusion explain`, `compare` and "
            "`characterize` take other targets too"
        )
    for option, value in cpu_options.items():
        if value is not None:
            raise InputError(f"{option} {value} has no effect with --target {target}; leave it out")
    return True


def _report_project(folder: Path, summary: "PlanSummary", as_json: bool) -> None:
    from dlfusion.report import table
    from dlfusion.report.blocks import block_table

    if as_json:
        print_json({"folder": str(folder), "plan": summary.document()})
        return
    console = output()
    console.print(table.terminal(block_table(summary)))
    console.print(f"A C++ project for the Neuware SDK; nothing was built. Files: {folder}", markup=False)
    console.print("To try it on this CPU: cmake -B build -DDLFUSION_STANDIN=ON, in that folder.", markup=False)


def _report(
    compiled: "CompiledModel",
    summary: "PlanSummary",
    seconds: tuple[float, ...] | None,
    verdict: tuple[str, float] | None,
    as_json: bool,
) -> None:
    from dlfusion.report import table
    from dlfusion.report.blocks import block_table

    if as_json:
        print_json(_document(compiled, summary, verdict))
        return
    output().print(table.terminal(block_table(summary)))
    _print_results(compiled, seconds, verdict)


def _print_results(
    compiled: "CompiledModel", seconds: tuple[float, ...] | None, verdict: tuple[str, float] | None
) -> None:
    console = output()
    if seconds is not None and verdict is not None:
        is_default = compiled.precision == options.DEFAULT_PRECISION
        computed = "" if is_default else f" Computed in {compiled.precision} where that is faster."
        console.print(
            f"Checked: differs from {verdict[0]} by at most {verdict[1]:.1e} of the output's scale.{computed}"
        )
        console.print(f"One run takes {sum(seconds) * 1e3:.2f} ms (median of each block, summed).")
    console.print(f"Built in {compiled.build_seconds:.1f} s.", markup=False)
    console.print(f"Files: {compiled.folder}", markup=False)


def _check(model: Path, network: "Network", compiled: "CompiledModel") -> tuple[str, float]:
    """What the outputs were compared with, and the largest difference relative to the output's scale.

    That is ONNX Runtime, or the NumPy reference where that is not installed.

    Raises:
        VerificationError: it is larger than the tolerance.
    """
    from dlfusion import driver
    from dlfusion.bench.engines import onnx_runtime

    inputs = driver.random_inputs(network)
    if onnx_runtime.OnnxRuntime.is_installed():
        expected = onnx_runtime.outputs(model, network.graph.inputs, inputs)
        return "ONNX Runtime", driver.verify(compiled, inputs, expected).relative
    return "the NumPy reference", driver.verify(compiled, inputs).relative


def _block_seconds(network: "Network", compiled: "CompiledModel") -> tuple[float, ...]:
    """The median time of each block over about `MEASURE_SECONDS` of runs on random inputs."""
    import numpy as np

    from dlfusion import driver

    inputs = driver.random_inputs(network)
    compiled.profile(*inputs)
    samples: list[tuple[float, ...]] = []
    end = time.perf_counter() + MEASURE_SECONDS
    while len(samples) < FEWEST_RUNS or time.perf_counter() < end:
        samples.append(compiled.profile(*inputs))
    return tuple(float(median) for median in np.median(np.array(samples), axis=0))


def _document(
    compiled: "CompiledModel", summary: "PlanSummary", verdict: tuple[str, float] | None
) -> dict[str, object]:
    return {
        "folder": str(compiled.folder),
        "precision": compiled.precision,
        "build_seconds": compiled.build_seconds,
        "checked_against": None if verdict is None else verdict[0],
        "largest_relative_difference": None if verdict is None else verdict[1],
        "plan": summary.document(),
    }
