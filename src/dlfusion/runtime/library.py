"""The C interface of a compiled model (dlfusion.h), seen from Python."""

import _ctypes
import ctypes
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlfusion.errors import BuildError
from dlfusion.machine.architecture import host_architecture, library_architecture
from dlfusion.runtime.build import DESCRIPTION_FILE, LIBRARY_BYTES, LIBRARY_FILE, WEIGHTS_FILE
from dlfusion.runtime.program import ArrayPort
from dlfusion.runtime.scratch import scratch_folder

INTERFACE_VERSION = 2
"""DLFUSION_INTERFACE_VERSION of dlfusion.h."""

_CHECK_DIGEST = 1


@dataclass(frozen=True, slots=True)
class RunBlock:
    """A block as the program runs it."""

    name: str
    cores: int


class Library:
    """The shared library and its open weights, counted by the executables that use it."""

    def __init__(self, folder: Path, *, check_digest: bool, temporary: bool) -> None:
        self.description = _read_description(folder)
        self._library = _open_library(folder / LIBRARY_FILE)
        self._temporary_folder = folder if temporary else None
        self._lock = threading.Lock()
        self._users = 1
        self._owner_process = os.getpid()
        try:
            _declare(self._library)
            version = self._library.dlfusion_interface_version()
            if version != INTERFACE_VERSION:
                raise BuildError(
                    f"{folder} has interface version {version}, this DLFusion needs {INTERFACE_VERSION}: compile again"
                )
            self._model = ctypes.c_void_p()
            flags = _CHECK_DIGEST if check_digest else 0
            self._check(self._library.dlfusion_open(os.fsencode(folder), flags, self._model))
        except BaseException:
            _ctypes.dlclose(self._library._handle)
            raise
        self.name: str = self._library.dlfusion_name().decode()
        self.inputs = self._ports("input")
        self.outputs = self._ports("output")
        self.blocks = tuple(
            RunBlock(self._library.dlfusion_block_name(index).decode(), int(self._library.dlfusion_block_cores(index)))
            for index in range(self._library.dlfusion_block_count())
        )
        self.cores = int(self._library.dlfusion_cores())
        self.context_bytes = int(self._library.dlfusion_context_bytes())
        self.weights_bytes = int(self._library.dlfusion_weights_bytes())

    def create_context(self) -> ctypes.c_void_p:
        """New activations and threads for one caller."""
        context = ctypes.c_void_p()
        self._check(self._library.dlfusion_create(self._model, context))
        return context

    def destroy_context(self, context: ctypes.c_void_p) -> None:
        """Free a context."""
        self._library.dlfusion_destroy(context)

    def run(
        self,
        context: ctypes.c_void_p,
        inputs: "ctypes.Array[ctypes.c_void_p]",
        outputs: "ctypes.Array[ctypes.c_void_p]",
        seconds: "ctypes.Array[ctypes.c_double] | None",
    ) -> None:
        """Run once; with `seconds`, store each block's time there. Python's global lock is released meanwhile."""
        if seconds is None:
            self._check(self._library.dlfusion_run(context, inputs, outputs))
        else:
            self._check(self._library.dlfusion_run_timed(context, inputs, outputs, seconds))

    def acquire(self) -> None:
        """Count one more user."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Count one user less; the last one closes the library and removes a temporary folder."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
        self._library.dlfusion_close(self._model)
        _ctypes.dlclose(self._library._handle)
        if self._temporary_folder is not None and os.getpid() == self._owner_process:
            shutil.rmtree(self._temporary_folder, ignore_errors=True)

    def _check(self, status: int) -> None:
        if status != 0:
            raise BuildError(self._library.dlfusion_error_text().decode(errors="replace"))

    def _ports(self, kind: str) -> tuple[ArrayPort, ...]:
        count = getattr(self._library, f"dlfusion_{kind}_count")()
        name, rank, shape = (getattr(self._library, f"dlfusion_{kind}_{what}") for what in ("name", "rank", "shape"))
        return tuple(
            ArrayPort(name(index).decode(), tuple(shape(index)[axis] for axis in range(rank(index))))
            for index in range(count)
        )


def _read_description(folder: Path) -> Mapping[str, Any]:
    for name in (DESCRIPTION_FILE, LIBRARY_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise BuildError(f"{folder} is not a compiled model: it has no file {name}")
    try:
        description = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BuildError(f"{folder / DESCRIPTION_FILE} is damaged: {error}") from error
    if not isinstance(description, dict):
        raise BuildError(f"{folder / DESCRIPTION_FILE} is damaged: it is not a table")
    size = (folder / LIBRARY_FILE).stat().st_size
    if size != description.get(LIBRARY_BYTES):
        raise BuildError(
            f"cannot load {folder / LIBRARY_FILE}: it has {size} bytes, but {DESCRIPTION_FILE} states "
            f"{description.get(LIBRARY_BYTES)}: it is cut off or was made by another version; compile again"
        )
    _require_this_architecture(folder, description)
    return description


def _require_this_architecture(folder: Path, description: Mapping[str, Any]) -> None:
    """Nothing, if the library is for this machine's processors: what the loader says of others helps nobody."""
    made_for, here = library_architecture(folder / LIBRARY_FILE), host_architecture()
    if made_for not in (None, here):
        raise BuildError(
            f"{folder} was compiled for {made_for} ({description.get('isa')}), and this machine is {here}: run it on a "
            f"machine of {made_for}, or compile the model again for this one"
        )


def _open_library(path: Path) -> ctypes.CDLL:
    """Open a shared library under a path of its own.

    The loader takes a path that it has open already for the same library, also when another file has been put there
    since; through a symbolic link with a new name it looks at the file.
    """
    with tempfile.TemporaryDirectory(prefix="load-", dir=scratch_folder()) as folder:
        link = Path(folder) / LIBRARY_FILE
        link.symlink_to(path.resolve())
        try:
            return ctypes.CDLL(str(link))
        except OSError as error:
            raise BuildError(f"cannot load {path}: {error}") from error


def _declare(library: ctypes.CDLL) -> None:
    """State the C functions' types, so that pointers are not cut to 32 bits."""
    integer, text, pointer = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
    arrays, seconds = ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_double)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "error_text": (text, []),
        "interface_version": (integer, []),
        "name": (text, []),
        "block_count": (integer, []),
        "block_name": (text, [integer]),
        "block_cores": (integer, [integer]),
        "cores": (integer, []),
        "weights_bytes": (ctypes.c_size_t, []),
        "context_bytes": (ctypes.c_size_t, []),
        "open": (integer, [text, integer, ctypes.POINTER(pointer)]),
        "close": (None, [pointer]),
        "create": (integer, [pointer, ctypes.POINTER(pointer)]),
        "destroy": (None, [pointer]),
        "run": (integer, [pointer, arrays, arrays]),
        "run_timed": (integer, [pointer, arrays, arrays, seconds]),
    }
    for kind in ("input", "output"):
        signatures[f"{kind}_count"] = (integer, [])
        signatures[f"{kind}_name"] = (text, [integer])
        signatures[f"{kind}_rank"] = (integer, [integer])
        signatures[f"{kind}_shape"] = (ctypes.POINTER(ctypes.c_long), [integer])
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, f"dlfusion_{name}")
        except AttributeError as error:
            raise BuildError(f"the library lacks dlfusion_{name}: it is not a model compiled by DLFusion") from error
        function.restype = result
        function.argtypes = arguments
