"""From a program to a folder that runs without Python: shared library, C header, weights, sources, description.

model.so       the compiled model, with the C interface of dlfusion.h
dlfusion.h     that interface
weights.bin    the packed weights, mapped into memory by model.so
model.json     ports, instruction set, cores, compiler, flags, digests
sources/       the C++ files
include/       the headers they include
CMakeLists.txt builds model.so from them again
plan.json      and other documents of the program, such as example.c
"""

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from dlfusion.errors import BuildError
from dlfusion.runtime.cache import Cache, open_cache
from dlfusion.runtime.cmake import CMAKE_FILE, cmake_lists
from dlfusion.runtime.processes import ProcessGroup
from dlfusion.runtime.program import Program, Unit
from dlfusion.runtime.scratch import locked_folder, remove_abandoned, scratch_folder
from dlfusion.runtime.toolchain import (
    COMMON_FLAGS,
    Compiler,
    allowed_seconds,
    compile_command,
    error_tail,
    find_compiler,
    link_command,
    link_flags,
)

LIBRARY_FILE = "model.so"
HEADER_FILE = "dlfusion.h"
WEIGHTS_FILE = "weights.bin"
DESCRIPTION_FILE = "model.json"
LIBRARY_BYTES = "library_bytes"
"""The field of model.json with the size of model.so: opening a library that was cut off can end the process."""
SOURCE_FOLDER = "sources"
INCLUDE_FOLDER = "include"

_REPLACE_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: `done` of `total` steps, and the step that has just ended."""

    done: int
    total: int
    step: str
    from_cache: bool


ProgressCallback = Callable[[Progress], None]


def build(
    program: Program,
    folder: Path | None = None,
    *,
    cache: Cache | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
    compiler_seconds: float | None = None,
    weights_file: Path | None = None,
) -> Path:
    """Compile a program; returns the folder of the finished artefact.

    The folder appears when it is complete; whatever happens before leaves nothing. An older artefact at the same place
    is replaced. Without a folder it is a temporary one, which the end of the process removes if the caller has not.
    `jobs` compilers run at once, as many as the process has CPUs if not given; `compiler_seconds` limits each of them
    (default: what `allowed_seconds` says). `weights_file` is a file that holds just the program's weights: the artefact
    shares it where the file system can, instead of writing them again.

    Raises:
        BuildError: No compiler works, it fails or takes too long, or the folder is in use for something else.
    """
    cache = open_cache() if cache is None else cache
    target = None if folder is None else _target_folder(folder)
    compiler = find_compiler(cache, architecture=program.architecture)
    limit = allowed_seconds() if compiler_seconds is None else compiler_seconds
    with _staging_folder(target, cache) as staging:
        _write_texts(program, staging)
        with ThreadPoolExecutor(1) as executor:  # compilers need no weights
            writing = executor.submit(_write_weights, program, staging, weights_file)
            library = _Builder(program, compiler, cache, staging, jobs, progress, limit).library()
            writing.result()
        shutil.copyfile(library, staging / LIBRARY_FILE)
        description = {**_description(program, compiler), LIBRARY_BYTES: library.stat().st_size}
        _write_text(staging / DESCRIPTION_FILE, json.dumps(description, indent=2) + "\n")
        if folder is None or target is None:
            return staging
        _replace_folder(staging, target)
    return folder


def copy_artefact(source: Path, folder: Path) -> None:
    """Copy a built artefact to another place, all or nothing, replacing an older artefact there."""
    target = _target_folder(folder)
    with _staging_folder(target) as staging:
        shutil.copytree(source, staging, dirs_exist_ok=True)
        _replace_folder(staging, target)


class _Builder:
    """One run of the compiler over a program's units."""

    def __init__(
        self,
        program: Program,
        compiler: Compiler,
        cache: Cache,
        staging: Path,
        jobs: int | None,
        progress: ProgressCallback | None,
        compiler_seconds: float,
    ) -> None:
        self._compiler = compiler
        self._cache = cache
        self._staging = staging
        self._jobs = jobs or len(os.sched_getaffinity(0))
        self._progress = progress
        self._compiler_seconds = compiler_seconds
        # Units that differ in nothing but their name are compiled once.
        self._units = {self._unit_key(program, unit): unit for unit in program.units}
        self._done = 0

    def library(self) -> Path:
        """The linked library in the cache, made if it is not there."""
        key = _digest(
            "link", self._compiler.version, *link_command(self._compiler, tuple(self._units), "", LIBRARY_FILE)
        )
        found = self._cache.find(key, ".so")
        if found is not None:
            for unit in self._units.values():
                self._report(unit.name, from_cache=True)
            self._report(LIBRARY_FILE, from_cache=True)
            return found
        library = self._linked(key)
        self._cache.prune()  # looking through the cache takes a while, so only when something was added to it
        return library

    def _linked(self, key: str) -> Path:
        """The library, linked from objects of which those that are not in the cache are compiled."""
        objects, reused = self._objects()
        try:
            return self._link(key, objects)
        except BuildError:
            if not reused:
                raise
        # An object in the cache may be damaged (a full disk, a crash of the machine): compile those again, once.
        for object_key in reused:
            self._cache.remove(object_key, ".o")
        self._done = 0
        objects, _ = self._objects()
        return self._link(key, objects)

    def _objects(self) -> tuple[list[Path], list[str]]:
        """All units' objects in the units' order, and the keys of those that the cache had already."""
        objects = {key: self._cache.find(key, ".o") for key in self._units}
        reused = [key for key, path in objects.items() if path is not None]
        for key in reused:
            self._report(self._units[key].name, from_cache=True)
        objects |= self._compile_all([key for key in objects if key not in reused])
        return [path for path in objects.values() if path is not None], reused

    def _compile_all(self, keys: list[str]) -> dict[str, Path]:
        """Compile units side by side; if one fails or the user interrupts, none is left running."""
        with ProcessGroup() as group, ThreadPoolExecutor(max(1, self._jobs)) as executor:
            futures: dict[Future[Path], str] = {}
            try:  # from the first compiler on: an interruption between two of them ends those that run
                for key in keys:
                    futures[executor.submit(self._compile, key, group)] = key
                for future in as_completed(futures):
                    future.result()
                    self._report(self._units[futures[future]].name, from_cache=False)
            except BaseException:
                group.end()
                executor.shutdown(wait=True, cancel_futures=True)
                raise
        return {key: future.result() for future, key in futures.items()}

    def _compile(self, key: str, group: ProcessGroup) -> Path:
        unit = self._units[key]
        temporary = self._cache.temporary_path(key, ".o")
        command = compile_command(self._compiler, unit.flags, f"{SOURCE_FOLDER}/{unit.name}", str(temporary))
        self._run(command, group, temporary, f"cannot compile {unit.name}")
        return self._cache.keep(temporary, key, ".o")

    def _link(self, key: str, objects: list[Path]) -> Path:
        temporary = self._cache.temporary_path(key, ".so")
        command = link_command(self._compiler, [str(path) for path in objects], str(temporary), LIBRARY_FILE)
        with ProcessGroup() as group:
            self._run(command, group, temporary, f"cannot link {LIBRARY_FILE}")
        self._report(LIBRARY_FILE, from_cache=False)
        return self._cache.keep(temporary, key, ".so")

    def _run(self, command: tuple[str, ...], group: ProcessGroup, target: Path, failure: str) -> None:
        """Run a compiler that writes `target`; if it fails, the target is gone and the error has its text."""
        try:
            status, text = group.run(command, self._staging, self._compiler_seconds)
            if status == 0 and target.exists():
                return
            ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            command_text = shlex.join(command)
            raise BuildError(f"{failure}: the compiler {ended}\n{error_tail(text)}\nThe command was: {command_text}")
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _unit_key(self, program: Program, unit: Unit) -> str:
        """Digest of all that decides the unit's object: text, headers, flags, compiler."""
        headers = [text for name in program.included(unit) for text in (name, program.headers[name])]
        command = (*self._compiler.command, *COMMON_FLAGS, *unit.flags)
        return _digest("compile", self._compiler.version, *command, unit.text, *headers)

    def _report(self, step: str, from_cache: bool) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(Progress(self._done, len(self._units) + 1, step, from_cache))


def _digest(*texts: str) -> str:
    """SHA-256 of texts; where one ends and the next begins counts."""
    state = hashlib.sha256()
    for text in texts:
        content = text.encode()
        state.update(f"{len(content)}:".encode())
        state.update(content)
    return state.hexdigest()


def _write_texts(program: Program, folder: Path) -> None:
    """The sources, what the compilers need besides, and documents."""
    (folder / SOURCE_FOLDER).mkdir()
    (folder / INCLUDE_FOLDER).mkdir()
    for unit in program.units:
        _write_text(folder / SOURCE_FOLDER / unit.name, unit.text)
    for name in sorted({name for unit in program.units for name in program.included(unit)}):
        _write_text(folder / INCLUDE_FOLDER / name, program.headers[name])
    _write_text(folder / HEADER_FILE, program.headers[HEADER_FILE])
    _write_text(folder / CMAKE_FILE, cmake_lists(program, SOURCE_FOLDER, INCLUDE_FOLDER))
    for name, text in program.documents.items():
        _write_text(folder / name, text)


def _write_weights(program: Program, folder: Path, weights_file: Path | None) -> None:
    """The packed weights, or another name for the file that holds them."""
    if weights_file is None or not _is_linked(weights_file, folder / WEIGHTS_FILE):
        program.weights.tofile(folder / WEIGHTS_FILE)


def _is_linked(file: Path, name: Path) -> bool:
    """Give an existing file a second name; False where the file system cannot."""
    try:
        name.hardlink_to(file)
    except OSError:
        return False
    return True


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _description(program: Program, compiler: Compiler) -> Mapping[str, object]:
    """What model.json says: the same for the same program and compiler."""
    return {
        "name": program.name,
        "dlfusion": package_version(),
        "inputs": [asdict(port) for port in program.inputs],
        "outputs": [asdict(port) for port in program.outputs],
        "architecture": program.architecture,
        "isa": program.isa,
        "precision": program.precision,
        "cores": program.cores,
        "compiler": compiler.description,
        "flags": list(COMMON_FLAGS),
        "link_flags": list(link_flags(compiler, LIBRARY_FILE)),
        "sources": {unit.name: list(unit.flags) for unit in program.units},
        "weights_bytes": program.weights.nbytes,
        "weights_sha256": program.weights_sha256,
    }


def package_version() -> str:
    """DLFusion's version as installed; `source` if it runs from a folder that is not installed."""
    try:
        return metadata.version("dlfusion")
    except metadata.PackageNotFoundError:
        return "source"


def _target_folder(folder: Path) -> Path:
    """Where `folder` really is, links followed, if an artefact may stand there.

    Raises:
        BuildError: something else than an artefact stands there, or this process runs in it.
    """
    target = folder.resolve()
    if target.exists() and not _is_replaceable(target):
        raise BuildError(f"{folder} exists and is not a compiled model: remove it or choose another folder")
    if Path.cwd().is_relative_to(target):
        raise BuildError(f"{folder} is, or holds, the current folder and cannot be replaced: choose another folder")
    return target


@contextlib.contextmanager
def _staging_folder(target: Path | None, cache: Cache | None = None) -> Iterator[Path]:
    """A new folder that can be renamed to `target`, or a temporary one if that is None; an error removes it.

    Nothing removes it if the process is killed, but the next build of the same target does.
    """
    staging, lock = (_temporary_folder(), None) if target is None else _folder_beside(target)
    try:
        yield staging
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError):
            raise _write_error(error, target or staging, cache) from error
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="model-", dir=scratch_folder()))


def _folder_beside(target: Path) -> tuple[Path, int]:
    """A new folder and its lock, after what killed builds of the target have left is gone."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return locked_folder(target.parent, f".{target.name}.partial-")
    except OSError as error:
        raise BuildError(f"cannot write to {target.parent}: {error.strerror}") from error


def _write_error(error: OSError, folder: Path, cache: Cache | None) -> BuildError:
    """What a full disk, or another failure of the file system, is told as."""
    places = f"{folder.parent}" + (f" or in the cache folder {cache.folder}" if cache else "")
    return BuildError(f"cannot write the compiled model {folder}: {error}. Make room, or check access, in {places}.")


def _is_replaceable(folder: Path) -> bool:
    """Whether nothing is lost if an artefact takes this folder's place: it is one, or is empty."""
    if not folder.is_dir():
        return False
    # Other tools call files model.json too, so one name is not enough.
    is_artefact = all((folder / name).is_file() for name in (DESCRIPTION_FILE, HEADER_FILE, WEIGHTS_FILE))
    return is_artefact or not any(folder.iterdir())


def _replace_folder(staging: Path, folder: Path) -> None:
    """Rename `staging` to `folder`; what is there now goes away. Another process may do the same at the same time."""
    staging.chmod(0o755)  # folders made by tempfile are readable by their owner alone
    prefix = f".{folder.name}.old-"
    for _ in range(_REPLACE_ATTEMPTS):
        old = Path(tempfile.mkdtemp(prefix=prefix, dir=staging.parent))
        try:
            if folder.exists():
                folder.rename(old)
            staging.rename(folder)
            # Not before: where a process was killed between these two lines, that is the only model there is.
            remove_abandoned(staging.parent, prefix)
            return
        except OSError as error:
            failure = error
        finally:
            shutil.rmtree(old, ignore_errors=True)
    raise BuildError(f"cannot put the compiled model at {folder}: {failure.strerror}")
