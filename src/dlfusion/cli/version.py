"""`dlfusion version`: which release this is."""

from importlib import metadata

import typer

from dlfusion.cli.console import print_json
from dlfusion.cli.options import Json


def version(as_json: Json = False) -> None:
    """Print the version."""
    number = metadata.version("dlfusion")
    if as_json:
        print_json({"dlfusion": number})
    else:
        typer.echo(f"dlfusion {number}")
