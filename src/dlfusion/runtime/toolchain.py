"""The C++ compiler: found, tried out, and called with a time limit."""

import hashlib
import importlib.util
import os
import shlex
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlfusion.errors import BuildError
from dlfusion.machine.architecture import AARCH64, X86_64, host_architecture, library_architecture
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.processes import TIMEOUT_VARIABLE, ProcessGroup
from dlfusion.runtime.scratch import scratch_folder

COMMON_FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-math-errno",
    "-ffp-contract=fast",
)
"""Flags of every file. Products may be contracted into fused multiply-adds; sums are never reordered."""

LINK_FLAGS = ("-shared", "-pthread", "-Wl,-z,defs", "-Wl,--as-needed")
"""Flags of the shared library: a symbol that no file defines is an error, and libraries that nothing uses (the C++
library) are not required where the model runs."""

CROSS_TARGETS = {X86_64: "x86_64-linux-gnu.2.17", AARCH64: "aarch64-linux-gnu.2.17"}
"""What zig calls Linux on other architectures, with the oldest C library that programs shall run with: that of 2012."""

DEFAULT_TIMEOUT_SECONDS = 300.0
_VERSION_TIMEOUT_SECONDS = 60.0
_ERROR_TEXT_LINES = 30

# What a compiler must be able to do: the language version, its headers, threads, vector extensions, a shared library.
_TRIAL_TEXT = """#include <pthread.h>
#include <atomic>
typedef float Vector __attribute__((vector_size(16)));
static std::atomic<int> calls{0};
static void* twice(void* sum) {
  if constexpr (sizeof(Vector) == 16) *static_cast<Vector*>(sum) += *static_cast<Vector*>(sum);
  return calls++ > 0 ? sum : nullptr;
}
extern "C" int dlfusion_trial(Vector* sum) {
  pthread_t worker;
  return pthread_create(&worker, nullptr, twice, sum);
}
"""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler that works: how to call it, and the text by which objects made with it are told apart.

    `link_flags` are those that it needs besides `LINK_FLAGS`.
    """

    command: tuple[str, ...]
    version: str
    link_flags: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The first line of the version text, for people."""
        return self.version.splitlines()[0]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A command that may be a compiler, and where it comes from."""

    source: str
    command: tuple[str, ...]
    link_flags: tuple[str, ...] = ()


def allowed_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """How long one call of the compiler may take: $DLFUSION_COMPILER_TIMEOUT if it is set, else five minutes.

    Raises:
        BuildError: the variable holds no positive number.
    """
    text = environment.get(TIMEOUT_VARIABLE, "").strip()
    try:
        seconds = float(text) if text else DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise BuildError(
            f"the environment variable {TIMEOUT_VARIABLE} is {text!r}; it must be a positive number of seconds, such "
            f"as {DEFAULT_TIMEOUT_SECONDS:g}. Correct it, or unset it."
        )
    return seconds


def find_compiler(
    cache: Cache, environment: Mapping[str, str] = os.environ, architecture: str | None = None
) -> Compiler:
    """The first compiler that works: $CXX if it is set, else g++, clang++, and the `ziglang` package.

    For another `architecture` than this machine's, which is the default, only $CXX and `ziglang` are asked: the others
    compile for this one. That a compiler works is remembered in the cache, for this command and version.

    Raises:
        BuildError: None works, or the one in $CXX does not; the message lists what was tried and how it failed.
    """
    wanted = architecture or host_architecture()
    limit_seconds = allowed_seconds(environment)
    failures = []
    for candidate in _candidates(environment, wanted):
        try:
            return _try_out(candidate, cache, wanted, limit_seconds)
        except BuildError as error:
            failures.append(f"  {candidate.source}: {error}")
        except OSError as error:
            raise BuildError(
                f"cannot try out the compiler {candidate.source}: {error}. Make room, or check access, in "
                f"the folder for temporary files and in the cache folder {cache.folder}."
            ) from error
    is_foreign, chosen = wanted != host_architecture(), environment.get("CXX", "").strip()
    if chosen:
        advice = f"Correct the environment variable CXX (now {chosen!r}) or unset it to let DLFusion find a compiler."
    elif is_foreign:
        advice = "Run: pip install ziglang (or name a cross compiler in the environment variable CXX)"
    else:
        advice = "Install g++ or clang++ (Debian, Ubuntu: apt install g++), or run: pip install ziglang"
    purpose = f" for {wanted}" if is_foreign else ""
    raise BuildError("\n".join((f"no C++ compiler works{purpose}; tried:", *failures, advice)))


def _candidates(environment: Mapping[str, str], architecture: str) -> list[_Candidate]:
    """What may be a compiler for an architecture, best first. A compiler that the user names is the only one."""
    chosen = environment.get("CXX", "").strip()
    if chosen:
        try:
            return [_Candidate(f"CXX={chosen}", tuple(shlex.split(chosen)))]
        except ValueError as error:
            raise BuildError(
                f"the environment variable CXX is no command: {chosen!r}: {error}. Correct it, or unset it."
            ) from None
    if architecture != host_architecture():
        return [_ziglang("-target", CROSS_TARGETS.get(architecture, architecture))]
    return [*(_Candidate(name, (name,)) for name in ("g++", "clang++")), _ziglang()]


def _ziglang(*target: str) -> _Candidate:
    """Clang of the `ziglang` package, installed or not."""
    specification = importlib.util.find_spec("ziglang")
    if specification is None or specification.origin is None:
        return _Candidate("python -m ziglang", ("ziglang",))
    zig = Path(specification.origin).parent / "zig"
    # Without a stated CPU, zig would compile every file for the CPU it runs on; it checks for undefined behaviour and
    # adds debugging information, ten times as large as the code, unless told not to.
    options = ("c++", *target, "-mcpu=baseline", "-fno-sanitize=undefined", "-g0")
    # It would compile a whole C++ library first (a minute), of which the runtime uses nothing.
    return _Candidate("python -m ziglang", (str(zig), *options), ("-nostdlib++",))


def _try_out(candidate: _Candidate, cache: Cache, architecture: str, limit_seconds: float) -> Compiler:
    """The candidate as a compiler for an architecture; raises BuildError with what is wrong with it."""
    program = shutil.which(candidate.command[0])
    if program is None:
        raise BuildError("not installed")
    command = (program, *candidate.command[1:])
    version_seconds = min(limit_seconds, _VERSION_TIMEOUT_SECONDS)
    with ProcessGroup() as group:
        status, version = group.run((*command, "--version"), Path.cwd(), version_seconds)
    if status != 0 or not version.strip():
        raise BuildError(f"`{shlex.join(command)} --version` ended with status {status}: {error_tail(version)}")
    compiler = Compiler(command, version.strip(), candidate.link_flags)

    key = hashlib.sha256(
        "\n".join(("trial", architecture, *command, *candidate.link_flags, version, _TRIAL_TEXT)).encode()
    ).hexdigest()
    if cache.find(key, ".ok") is None:
        with tempfile.TemporaryDirectory(prefix="trial-", dir=scratch_folder()) as folder, ProcessGroup() as group:
            _compile_trial(compiler, Path(folder), group, architecture, limit_seconds)
        cache.write(key, ".ok", b"works\n")
    return compiler


def _compile_trial(
    compiler: Compiler, folder: Path, group: ProcessGroup, architecture: str, limit_seconds: float
) -> None:
    """Make a small shared library; raises BuildError if that fails, or if it is for another architecture."""
    (folder / "trial.cpp").write_text(_TRIAL_TEXT, encoding="utf-8")
    commands = (
        compile_command(compiler, (), "trial.cpp", "trial.o"),
        link_command(compiler, ("trial.o",), "trial.so", "trial.so"),
    )
    for command in commands:
        status, text = group.run(command, folder, limit_seconds)
        if status != 0:
            raise BuildError(f"a small test program fails ({shlex.join(command)}): {error_tail(text)}")
        if not (folder / command[-1]).is_file():
            raise BuildError(f"it is no compiler: it ended well, but wrote no {command[-1]} ({shlex.join(command)})")
    made_for = library_architecture(folder / "trial.so")
    if made_for not in (None, architecture):
        raise BuildError(f"it compiles for {made_for}, and a program for {architecture} is wanted")


def compile_command(compiler: Compiler, flags: Sequence[str], source: str, target: str) -> tuple[str, ...]:
    """The command that compiles one file; headers are in `include` of the folder it runs in."""
    return (*compiler.command, *COMMON_FLAGS, *flags, "-Iinclude", "-c", source, "-o", target)


def link_command(compiler: Compiler, objects: Sequence[str], target: str, name: str) -> tuple[str, ...]:
    """The command that links objects into a shared library, written to `target` and called `name` where it is used."""
    return (*compiler.command, *link_flags(compiler, name), *objects, "-o", target)


def link_flags(compiler: Compiler, name: str) -> tuple[str, ...]:
    """All flags of a shared library.

    Programs that are linked to it look for a file called `name`, wherever the linker found it: without that, a program
    asks for the very path that its linker was given.
    """
    return (*LINK_FLAGS, f"-Wl,-soname,{name}", *compiler.link_flags)


def error_tail(text: str) -> str:
    """The first error in a compiler's output and the last lines, at most about thirty lines."""
    lines = text.strip().splitlines()
    if len(lines) <= _ERROR_TEXT_LINES:
        return "\n".join(lines)
    first = next((index for index, line in enumerate(lines) if "error" in line), 0)
    half = _ERROR_TEXT_LINES // 2
    head = lines[first : first + half]
    rest = lines[max(first + half, len(lines) - half) :]
    return "\n".join((*head, f"... ({len(lines) - len(head) - len(rest)} lines left out)", *rest))
