"""`dlfusion compile`: from an ONNX file to a folder that needs neither Python nor DLFusion.

For the CPU that is a shared library, also for CPUs of another architecture, which is then neither loaded nor checked
here; for an MLU-100 it is a C++ project, to be built where its SDK is.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import output, print_json, progress
from dlfusion.cli.planning import planned
from dlfusion.errors import InputError

if TYPE_CHECKING:
    from dlfusion.driver import BuiltModel, CompiledModel, ProgressCallback
    from dlfusion.layers.layer import Network
    from dlfusion.plans.plan import Plan
    from dlfusion.report.blocks import PlanSummary
    from dlfusion.search.problem import Problem

MEASURE_SECONDS = 0.5
"""How long the compiled model runs to time its blocks: once if a run takes longer, since seconds are not noise."""


_OUTPUT_HELP = (
    "The folder to write: a library for C programs, which needs neither Python nor DLFusion, with an example.  "
    "[default: MODEL's name + .dlfusion]"
)


def compile_model(
    model: options.Model,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help=_OUTPUT_HELP),
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
    """Compile a model: import, plan, generate, build, check, measure; for the mlu100, write its C++ project.

    With --isa neon on an x86 machine the folder is for aarch64: clang of the ziglang package builds it, and nothing is
    run here. --cores says how many cores the other machine has, --profile what was measured there. Without a profile
    the strategy is dp, which predicts with the cost model's assumptions on a CPU of which nothing is known.
    """
    options.existing_file(model, "an ONNX file")
    options.one_source_of_plans(plan_file, strategy, cores)
    folder = out if out is not None else Path(model.stem + ".dlfusion")
    if folder.is_file():
        raise InputError(f"--output {folder} is a file; name a folder")
    is_project = _is_project(target, {"--isa": isa, "--precision": precision})
    elsewhere = None if is_project else _foreign(isa)
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
        storage = precision or options.DEFAULT_PRECISION
        if is_project:
            report = _write_project(network, task, plan, folder, advance)
        elif elsewhere is not None:
            built = driver.cross_compile(
                network, folder, elsewhere, plan=plan, exact=exact, precision=storage, progress=advance
            )
            report = partial(_report_built, built, summarize(network, plan, cost=task.cost))
        else:
            compiled = driver.compile(
                network, plan=plan, isa=isa, exact=exact, precision=storage, folder=folder, progress=advance
            )
            report = _try_out(model, network, task, compiled, check, advance)
    report(as_json)


def _write_project(
    network: "Network", task: "Problem", plan: "Plan", folder: Path, advance: "ProgressCallback"
) -> Callable[[bool], None]:
    """Writes the project; the result prints what was written, as JSON or not."""
    from dlfusion import driver
    from dlfusion.report.blocks import summarize

    advance("generate", 0, 1)
    driver.write_project(network, plan, folder)
    advance("generate", 1, 1)
    summary = summarize(network, plan, cost=task.cost, element_bytes=task.machine.element_bytes)
    return partial(_report_project, folder, summary)


def _try_out(
    model: Path,
    network: "Network",
    task: "Problem",
    compiled: "CompiledModel",
    check: bool,
    advance: "ProgressCallback",
) -> Callable[[bool], None]:
    """Checks the compiled model and times its blocks, if wanted; the result prints what came of it, as JSON or not."""
    from dlfusion.report.blocks import summarize

    seconds, verdict = None, None
    if check:
        advance("check", 0, 1)
        verdict = _check(model, network, compiled)
        advance("measure", 0, 1)
        seconds = _block_seconds(network, compiled)
        advance("measure", 1, 1)
    return partial(_report, compiled, summarize(network, compiled.plan, seconds, task.cost), seconds, verdict)


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


def _foreign(isa: str | None) -> str | None:
    """The instruction set, if it is of CPUs of another architecture.

    Raises:
        InputError: there is no such instruction set.
    """
    from dlfusion.targets.cpu.isa import choose_isa, is_foreign

    return isa if isa is not None and is_foreign(choose_isa(isa)) else None


def _report_built(built: "BuiltModel", summary: "PlanSummary", as_json: bool) -> None:
    """What was built for another machine, which takes the place of a check: the command that runs it there."""
    from dlfusion.machine.architecture import host_architecture
    from dlfusion.report import table
    from dlfusion.report.blocks import block_table

    if as_json:
        document = _document(built.folder, built.precision, built.build_seconds, summary, None)
        print_json({**document, "architecture": built.isa.architecture})
        return
    console = output()
    console.print(table.terminal(block_table(summary)))
    console.print(
        f"Built for {built.isa.architecture} ({built.isa.name}) and not run: this machine is {host_architecture()}. "
        f"On one of {built.isa.architecture}: dlfusion run {built.folder.name} --input FILE",
        markup=False,
    )
    console.print(f"Built in {built.build_seconds:.1f} s.", markup=False)
    console.print(f"Files: {built.folder}", markup=False)


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
        print_json(_document(compiled.folder, compiled.precision, compiled.build_seconds, summary, verdict))
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
    from dlfusion.machine.host import usable_cores

    inputs = driver.random_inputs(network)
    if onnx_runtime.OnnxRuntime.is_installed():
        expected = onnx_runtime.outputs(model, network.graph.inputs, inputs, usable_cores())
        return "ONNX Runtime", driver.verify(compiled, inputs, expected).relative
    return "the NumPy reference", driver.verify(compiled, inputs).relative


def _block_seconds(network: "Network", compiled: "CompiledModel") -> tuple[float, ...]:
    """The median time of each block over about `MEASURE_SECONDS` of runs on random inputs.

    The check has run the model before, so that no run waits for the weights to be read.
    """
    import numpy as np

    from dlfusion import driver

    inputs = driver.random_inputs(network)
    samples: list[tuple[float, ...]] = []
    end = time.perf_counter() + MEASURE_SECONDS
    while not samples or time.perf_counter() < end:
        samples.append(compiled.profile(*inputs))
    return tuple(float(median) for median in np.median(np.array(samples), axis=0))


def _document(
    folder: Path, precision: str, build_seconds: float, summary: "PlanSummary", verdict: tuple[str, float] | None
) -> dict[str, object]:
    return {
        "folder": str(folder),
        "precision": precision,
        "build_seconds": build_seconds,
        "checked_against": None if verdict is None else verdict[0],
        "largest_relative_difference": None if verdict is None else verdict[1],
        "plan": summary.document(),
    }
