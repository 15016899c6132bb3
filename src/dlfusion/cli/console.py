"""What all commands share: where text goes, how errors end a command, how progress is shown.

Results go to standard output, everything else (progress, warnings, errors) to standard error, so that `--json` output
can be piped.
"""

import errno
import functools
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TextIO, TypeVar

from rich.console import Console

from dlfusion.cli.start import EXIT_INTERRUPTED, INTERRUPTED
from dlfusion.errors import DlfusionError, PlanWarning

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dlfusion.driver import ProgressCallback

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

EXIT_USER_ERROR = 2
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""A disk or quota is full, a file as large as it may be, or nothing can be written there at all."""
NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""What Python's tempfile says in that case."""
PLAIN_WIDTH = 180
"""Columns of a table that is not written to a terminal, where no width is known."""


def output() -> Console:
    """The console of results. A file or pipe gets a fixed width, a terminal its own."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH, highlight=False)


def messages() -> Console:
    """The console of progress, warnings and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: object) -> None:
    """Write one JSON document to standard output. JSON has no infinity and no NaN: they become null."""
    sys.stdout.write(json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()  # here, where a full disk can still be told


def _finite(document: object) -> object:
    match document:
        case float() if not math.isfinite(document):
            return None
        case dict():
            return {key: _finite(value) for key, value in document.items()}
        case list() | tuple():
            return [_finite(value) for value in document]
    return document


def guarded(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The command with its failures turned into exit codes: 2 for what the user can put right, 130 for Ctrl-C.

    Too little memory or disk is the former: another model, shape, folder or machine helps.

    Any other exception is a bug and keeps its traceback.
    """

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        warnings.showwarning = _warning_display()
        try:
            return command(*args, **kwargs)
        except DlfusionError as error:
            _fail(str(error))
        except MemoryError as error:
            _fail(f"there is not enough memory for this model and shape: {str(error) or 'none is left'}")
        except OSError as error:
            if error.errno not in DISK_ERRORS and NO_TEMPORARY_FOLDER not in str(error):
                raise
            where = f" {error.filename}" if error.filename else " output"
            _fail(f"cannot write{where}: {error.strerror}; make room, or write to another disk")
        except KeyboardInterrupt:
            messages().print(INTERRUPTED, markup=False)
            sys.exit(EXIT_INTERRUPTED)

    return run


def _fail(message: str) -> NoReturn:
    messages().print(f"error: {message}", style="bold red", markup=False)
    sys.exit(EXIT_USER_ERROR)


def _warning_display() -> Callable[..., None]:
    """Shows a warning for the user as one line, for a developer with the place it comes from; equal lines once.

    Several stages of one command may come upon the same thing, such as a profile of another machine.
    """
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del file, line
        where = "" if issubclass(category, PlanWarning) else f"{filename}:{lineno}: {category.__name__}: "
        text = f"warning: {where}{message}"
        if text not in shown:
            shown.add(text)
            messages().print(text, style="yellow", markup=False)

    return show


@contextmanager
def progress(*, quiet: bool = False) -> "Iterator[ProgressCallback]":
    """A callback that shows stages as they advance: bars on a terminal, one line per stage elsewhere."""
    if quiet:
        yield _ignore
    elif sys.stderr.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns: tuple[Any, ...] = (
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        # A thread that redraws would take time from what is being measured.
        with Progress(*columns, console=messages(), auto_refresh=False) as bars:
            yield bars_callback(bars)
    else:
        yield _lines_callback(messages())


def _ignore(stage: str, done: int, total: int) -> None:
    del stage, done, total


def bars_callback(bars: "Progress") -> "ProgressCallback":
    """One bar a stage, drawn at each call. A stage that begins ends the one before, wherever that has come to."""
    tasks: dict[str, TaskID] = {}

    def advance(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            for task in bars.tasks:
                bars.update(task.id, completed=task.total)
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)
        bars.refresh()

    return advance


def _lines_callback(console: Console) -> "ProgressCallback":
    """One line a stage, when it begins: what a log needs."""
    begun: set[str] = set()

    def advance(stage: str, done: int, total: int) -> None:
        del done, total
        if stage not in begun:
            begun.add(stage)
            console.print(f"{stage} ...", markup=False)

    return advance
