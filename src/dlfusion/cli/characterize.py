"""`dlfusion characterize`: learn a device from synthesized layers, and write what was learned as a profile."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.characterization.grid import find_grid, grid_names
from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import existing_or_new_folder, write_text

if TYPE_CHECKING:
    from dlfusion.cost.profile import Profile


def characterize(
    target: options.Target = options.DEFAULT_TARGET,
    grid: Annotated[
        str, typer.Option("--grid", metavar="NAME", help=f"How much is measured: {', '.join(grid_names())}.")
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
    as_json: options.Json = False,
) -> None:
    """Learn a device: measure synthesized layers and chains on every core count, and fit the models that plan with it.

    Every measurement is kept as it happens: after Ctrl-C the same command continues.
    """
    find_grid(grid)  # a wrong name ends the command before anything else
    from dlfusion import driver
    from dlfusion.characterization.insight import insight
    from dlfusion.driver.planning import as_target
    from dlfusion.report import table
    from dlfusion.report.characterization import fit_table, origin, rule_table, sentences, write_report
    from dlfusion.report.plots import require_matplotlib

    if report is not None:
        require_matplotlib()
        existing_or_new_folder(report, "--report")
    path = driver.profile_path(as_target(target)) if out is None else out
    try:
        with progress(quiet=as_json) as advance:
            profile = driver.characterize(target, grid=grid, output=path, database=database, progress=advance)
    except KeyboardInterrupt:
        messages().print("what was measured is kept; the same command continues", markup=False)
        raise
    page = None if report is None else write_report(profile, insight(profile.samples), report, write_text)
    if as_json:
        print_json(_document(profile, path))
        return
    console = output()
    console.print(origin(profile), markup=False)
    for part in (fit_table(profile), rule_table(profile)):
        console.print(table.terminal(part))
    for sentence in sentences(profile):
        console.print(sentence, markup=False)
    console.print(f"Profile: {path}", markup=False)
    if page is not None:
        console.print(f"Report: {page}", markup=False)


def _document(profile: "Profile", path: Path) -> dict[str, object]:
    """What was learned, without the samples: those are in the profile."""
    return {
        "profile": str(path),
        "target": profile.target,
        "machine": profile.machine,
        "simulated": profile.simulated,
        "samples": len(profile.samples),
        "cost": asdict(profile.cost),
        "cores": asdict(profile.cores),
        "critical_operations": profile.critical_operations,
    }
