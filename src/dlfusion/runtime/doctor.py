"""What the build and the runtime find on this machine, for `dlfusion doctor`."""

from dataclasses import dataclass
from pathlib import Path

from dlfusion.errors import BuildError
from dlfusion.runtime.cache import Cache, open_cache
from dlfusion.runtime.toolchain import find_compiler


@dataclass(frozen=True, slots=True)
class ToolchainReport:
    """The compiler and the cache as a build would use them.

    `problem` is empty if a compiler works; else it says what was tried, how it failed and what to do, and
    `compiler_command` and `compiler_version` are empty.
    """

    compiler_command: tuple[str, ...]
    compiler_version: str
    problem: str
    cache_folder: Path
    cache_bytes: int


def examine(cache: Cache | None = None) -> ToolchainReport:
    """Try the compiler out and weigh the cache."""
    cache = open_cache() if cache is None else cache
    try:
        compiler = find_compiler(cache)
    except BuildError as error:
        return ToolchainReport((), "", str(error), cache.folder, cache.size_bytes())
    return ToolchainReport(compiler.command, compiler.description, "", cache.folder, cache.size_bytes())
