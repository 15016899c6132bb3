"""A compiler, a cache and one compiled program for all tests of the runtime."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlfusion.runtime.build import build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from tests.runtime.tiny_program import tiny_program


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """An empty cache that the session's tests share."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_folder(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny program on two cores, built."""
    return build(tiny_program(), tmp_path_factory.mktemp("models") / "tiny", cache=cache)


@pytest.fixture
def tiny(tiny_folder: Path) -> Iterator[Executable]:
    """The tiny program, loaded."""
    with Executable.load(tiny_folder) as executable:
        yield executable


@dataclass(frozen=True)
class CountingCompiler:
    """A compiler that writes a line to `log` for each file it compiles or links."""

    path: Path
    log: Path

    @property
    def runs(self) -> int:
        """How many files it has made."""
        return len(self.log.read_text(encoding="utf-8").splitlines()) if self.log.exists() else 0


@pytest.fixture
def counting_compiler(tmp_path: Path, script: Callable[[str, str], Path]) -> CountingCompiler:
    """A counting compiler around g++."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    log = tmp_path / "compiler.log"
    text = f'case "$*" in *" -o "*) echo "$*" >> "{log}";; esac\nexec g++ "$@"'
    return CountingCompiler(script("counting-compiler", text), log)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str, str], Path]:
    """A function that writes an executable shell script and returns its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return write
