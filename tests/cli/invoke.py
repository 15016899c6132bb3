"""Calls the command line in this process, as a user would."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from dlfusion.cli.main import app


def invoke(*arguments: str | Path) -> Result:
    """The result of `dlfusion ARGUMENTS...`; a bug's exception is raised, not caught."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def invoke_json(*arguments: str | Path) -> Any:
    """The JSON document that `dlfusion ARGUMENTS... --json` prints."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
