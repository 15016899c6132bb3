"""`dlfusion characterize`: learn a device from synthesized layers, and write what was learned as a profile."""

from pathlib import Path
from typing import Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, progress
from dlfusion.errors import InputError

GRIDS = ("small", "default", "large")


def characterize(
    target: options.Target = options.DEFAULT_TARGET,
    grid: Annotated[
        str, typer.Option("--grid", metavar="NAME", help=f"How much is measured: {', '.join(GRIDS)}.")
    ] = "default",
    database: options.Database = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The profile to write.  [default: in your data folder]"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write a page with figures of what was found into this folder."),
    ] = None,
) -> None:
    """Learn a device: measure synthesized layers and chains on every core count, and fit the models that plan with it.

    Every measurement is kept as it happens: after Ctrl-C the same command continues.
    """
    if grid not in GRIDS:
        raise InputError(f"there is no grid {grid!r}; choose one of {', '.join(GRIDS)}")
    if report is not None and report.exists() and not report.is_dir():
        raise InputError(f"--report {report} is a file; name a folder")
    from dlfusion import driver
    from dlfusion.characterization.insight import insight
    from dlfusion.driver.planning import as_target
    from dlfusion.report import table
    from dlfusion.report.characterization import fit_table, origin, rule_table, sentences, write_report
    from dlfusion.report.plots import require_matplotlib

    if report is not None:
        require_matplotlib()
    path = driver.profile_path(as_target(target)) if out is None else out
    try:
        with progress() as advance:
            profile = driver.characterize(target, grid=grid, output=path, database=database, progress=advance)
    except KeyboardInterrupt:
        messages().print("what was measured is kept; the same command continues", markup=False)
        raise
    console = output()
    console.print(origin(profile), markup=False)
    for part in (fit_table(profile), rule_table(profile)):
        console.print(table.terminal(part))
    for sentence in sentences(profile):
        console.print(sentence, markup=False)
    console.print(f"Profile: {path}", markup=False)
    if report is not None:
        try:
            page = write_report(profile, insight(profile.samples), report)
        except OSError as error:
            raise InputError(f"cannot write the report to {report}: {error.strerror}; name another folder") from error
        console.print(f"Report: {page}", markup=False)
