"""The `dlfusion` program: all commands by name.

Heavy packages (NumPy, ONNX, the driver) are imported inside the commands that need them, so that help and errors of
usage come at once.
"""

import atexit
import gc
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import typer

from dlfusion.cli.bench import bench
from dlfusion.cli.characterize import characterize
from dlfusion.cli.compare import compare
from dlfusion.cli.compile import compile_model
from dlfusion.cli.console import guarded
from dlfusion.cli.db import app as database_app
from dlfusion.cli.doctor import doctor
from dlfusion.cli.explain import explain
from dlfusion.cli.layers import layers
from dlfusion.cli.ops import ops
from dlfusion.cli.reproduce import reproduce
from dlfusion.cli.run import run
from dlfusion.cli.version import version, version_option

_OBJECTS_BETWEEN_COLLECTIONS = 200_000

COMMANDS: dict[str, Callable[..., None]] = {
    "compile": compile_model,
    "run": run,
    "bench": bench,
    "layers": layers,
    "characterize": characterize,
    "explain": explain,
    "compare": compare,
    "reproduce": reproduce,
    "ops": ops,
    "doctor": doctor,
    "version": version,
}

GROUPS: dict[str, typer.Typer] = {"db": database_app}
"""Commands that have commands of their own."""

app = typer.Typer(
    name="dlfusion",
    help="Compile neural networks (ONNX) to multi-core C++ that runs fused blocks of layers depth-first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.callback()(version_option)
for _name, _command in COMMANDS.items():
    app.command(_name)(guarded(_command))
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)


def main() -> None:
    """Run the command that the arguments name; the process exits with its status."""
    signal.signal(signal.SIGTERM, _end_cleanly)
    # Importing ONNX packages makes hundreds of thousands of objects that all stay: looking for garbage among them at
    # Python's usual rate takes a tenth of a compile.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)  # nor is there garbage to look for when the process ends and gives all memory back
    app()


def _end_cleanly(number: int, frame: FrameType | None) -> NoReturn:
    """Let `finally` blocks run when the process is told to end: temporary files go, child processes stop."""
    del frame
    sys.exit(128 + number)
