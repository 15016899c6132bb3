"""Building with the compiler's sanitizers, by which programs end that race, leave their memory, leak, or are undefined.

`make sanitize` sets DLFUSION_SANITIZE: there tests take more examples, and a sanitizer that is missing is a failure.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SANITIZERS = ("address,undefined", "thread")
IS_THOROUGH = os.environ.get("DLFUSION_SANITIZE", "") not in ("", "0")

_FLAGS = ("-O1", "-g1", "-fno-sanitize-recover=all", "-pthread")


def compile_sanitized(sanitizer: str, arguments: Sequence[str], folder: Path, compiler: str = "g++") -> None:
    """Runs the compiler in `folder` with `-fsanitize=<sanitizer>`; the test ends if it fails or is not there."""
    if shutil.which(compiler) is None:
        _missing(f"needs {compiler}")
    command = [compiler, *_FLAGS, f"-fsanitize={sanitizer}", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 and "cannot find" in done.stderr:
        _missing(f"{compiler} has no library for -fsanitize={sanitizer}")
    assert done.returncode == 0, done.stderr


def run_sanitized(
    program: Path, arguments: Sequence[str | Path] = (), folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a program in a folder, its own if none is given. What a sanitizer finds makes the status other than zero."""
    place = program.parent if folder is None else folder
    return subprocess.run([program, *arguments], cwd=place, capture_output=True, text=True, timeout=120, check=False)


def _missing(reason: str) -> None:
    if IS_THOROUGH:
        pytest.fail(f"`make sanitize` {reason}")
    pytest.skip(reason)
