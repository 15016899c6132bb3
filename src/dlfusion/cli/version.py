"""`dlfusion version` and `dlfusion --version`: which release this is."""

from importlib import metadata
from typing import Annotated

import typer

from dlfusion.cli.console import print_json
from dlfusion.cli.options import Json


def _print_and_end(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


def version_option(
    asked: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_and_end, is_eager=True)
    ] = False,
) -> None:
    """Take `--version`, which stands before any command."""


def version(as_json: Json = False) -> None:
    """Print the version."""
    number = metadata.version("dlfusion")
    if as_json:
        print_json({"dlfusion": number})
    else:
        typer.echo(f"dlfusion {number}")
