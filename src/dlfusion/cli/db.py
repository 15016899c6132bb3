"""`dlfusion db`: what the tuning memory holds, and moving it between files and machines."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfusion.cli import options
from dlfusion.cli.console import guarded, messages, output, print_json
from dlfusion.cli.files import write_text
from dlfusion.errors import InputError

if TYPE_CHECKING:
    from dlfusion.tuning.store import Holding, Store

Number = Annotated[
    int | None,
    typer.Option(
        "--setting", metavar="N", min=1, help="Only the setting with this number, as `dlfusion db list` says."
    ),
]
ExportFile = Annotated[Path, typer.Argument(metavar="FILE", help="The JSON lines file to write.", show_default=False)]
ImportFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file that `export` wrote.", show_default=False)]

_SECONDS_PER_DAY = 24 * 3600

app = typer.Typer(
    name="db",
    help="List, export, import and prune what was measured while tuning.",
    no_args_is_help=True,
    add_completion=False,
)


def list_measurements(database: options.Database = None, number: Number = None, as_json: options.Json = False) -> None:
    """List the settings that were measured under, or with --setting each measurement of one."""
    with _open(database) as store:
        if number is None:
            _list_settings(store, as_json)
        else:
            _list_entries(store, _holding(store, number), as_json)


def export(file: ExportFile, database: options.Database = None) -> None:
    """Write all measurements to a file of JSON lines, which `import` reads."""
    from dlfusion.tuning.exchange import export_lines

    with _open(database) as store:
        lines = list(export_lines(store))
    write_text(file, "".join(lines))
    messages().print(f"{len(lines) - 1} measurements written to {file}", markup=False)


def import_measurements(file: ImportFile, database: options.Database = None) -> None:
    """Add the measurements of an exported file; those that are there already are not added again."""
    from dlfusion.tuning.exchange import import_lines
    from dlfusion.tuning.store import Store

    options.existing_file(file, "an export of a tuning database")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    with Store(database) as store:
        added, found = import_lines(store, lines)
    messages().print(f"{added} of {found} measurements added to {store.path}", markup=False)


def prune(
    database: options.Database = None,
    number: Number = None,
    days: Annotated[
        float | None,
        typer.Option("--older-than", metavar="DAYS", min=0, help="Only measurements that were made so long ago."),
    ] = None,
    other_machines: Annotated[
        bool, typer.Option("--other-machines", help="Only what other CPUs measured; simulated machines stay.")
    ] = False,
) -> None:
    """Forget the measurements that meet all the conditions given; at least one is needed."""
    if number is None and days is None and not other_machines:
        raise InputError("say what to forget: --setting N, --older-than DAYS, --other-machines, or several of them")
    before = None if days is None else time.time() - days * _SECONDS_PER_DAY
    with _open(database) as store:
        holdings = (_holding(store, number),) if number is not None else store.holdings()
        chosen = [holding for holding in holdings if not other_machines or _is_other_cpu(holding)]
        gone = sum(store.prune(number=holding.number, before=before) for holding in chosen)
    messages().print(f"{gone} measurements forgotten", markup=False)


for _name, _command in (
    ("list", list_measurements),
    ("export", export),
    ("import", import_measurements),
    ("prune", prune),
):
    app.command(_name)(guarded(_command))


def _open(path: Path | None) -> "Store":
    """The store, which must be there if it was named."""
    from dlfusion.tuning.store import Store

    return Store(None if path is None else options.existing_file(path, "a tuning database"))


def _holding(store: "Store", number: int) -> "Holding":
    found = store.holdings()
    for holding in found:
        if holding.number == number:
            return holding
    known = ", ".join(str(holding.number) for holding in found) or "none"
    raise InputError(f"{store.path} has no setting {number}; there are: {known}")


def _is_other_cpu(holding: "Holding") -> bool:
    """Whether another machine's programs were measured; a simulated machine needs no compiler."""
    from dlfusion.machine import host

    return bool(holding.setting.compiler) and holding.setting.machine != host().fingerprint


def _list_settings(store: "Store", as_json: bool) -> None:
    from dlfusion.report.table import Column, Table, terminal

    holdings = store.holdings()
    if as_json:
        print_json(
            [
                {
                    "setting": holding.number,
                    "machine": holding.setting.machine,
                    "compiler": holding.setting.compiler,
                    "flags": list(holding.setting.flags),
                    "library": holding.setting.library,
                    "structures": holding.structures,
                    "samples": holding.samples,
                    "first_at": _time(holding.first_at),
                    "last_at": _time(holding.last_at),
                }
                for holding in holdings
            ]
        )
        return
    headings = (("setting", True), ("machine", False), ("compiler", False), ("library", False), ("structures", True))
    columns = tuple(Column(*heading) for heading in (*headings, ("samples", True), ("last measured", False)))
    rows = tuple(
        (
            str(holding.number),
            holding.setting.machine,
            holding.setting.compiler or "simulated",
            holding.setting.library,
            str(holding.structures),
            str(holding.samples),
            _time(holding.last_at),
        )
        for holding in holdings
    )
    output().print(terminal(Table(f"Measurements in {store.path}", columns, rows)))


def _list_entries(store: "Store", holding: "Holding", as_json: bool) -> None:
    from dlfusion.report.table import Column, Table, terminal
    from dlfusion.report.units import milliseconds

    entries = store.entries(holding.number)
    if as_json:
        print_json(
            [
                {
                    "structure": entry.structure,
                    "label": entry.label,
                    "samples": list(entry.samples),
                    "measured_at": _time(entry.measured_at),
                }
                for entry in entries
            ]
        )
        return
    columns = (Column("what", number=False), Column("shortest ms"), Column("samples"), Column("measured", number=False))
    rows = tuple(
        (entry.label, milliseconds(min(entry.samples)), str(len(entry.samples)), _time(entry.measured_at))
        for entry in entries
    )
    title = f"Setting {holding.number}: {holding.setting.machine}"
    output().print(terminal(Table(title, columns, rows)))


def _time(seconds: float) -> str:
    """Seconds since 1970 as a date and time (UTC)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
