"""A compiled model in memory, called with NumPy arrays."""

import _ctypes
import ctypes
import json
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dlfusion.errors import BuildError, InputError
from dlfusion.runtime.build import DESCRIPTION_FILE, LIBRARY_FILE, WEIGHTS_FILE, copy_artefact
from dlfusion.runtime.program import ArrayPort

Array = NDArray[np.float32]

INTERFACE_VERSION = 1
CHECK_DIGEST = 1


@dataclass(frozen=True, slots=True)
class BlockTime:
    """Wall-clock seconds of one block in one run."""

    name: str
    cores: int
    seconds: float


class Executable:
    """A compiled model, ready to run.

    It owns its activations and threads: calls from several threads wait for each other. For calls that run at the same
    time, give each thread its own `duplicate()`, which shares the weights. Usable as a context manager; `close` frees
    the memory and ends the threads, and so does the garbage collector.
    """

    def __init__(self, library: "_Library", folder: Path) -> None:
        """Use `load`; this makes a context of an open library."""
        self.folder = folder
        self._library = library
        self._context = library.create_context()
        self._owner_process = os.getpid()
        self._lock = threading.Lock()
        self._closer = weakref.finalize(self, _release, library, self._context, self._owner_process)

    @classmethod
    def load(cls, folder: Path, *, check_digest: bool = False, temporary: bool = False) -> Self:
        """Open a built folder.

        `check_digest` reads all weights and compares their SHA-256. `temporary` hands the folder over: it is removed
        when the executable and its duplicates are closed.

        Raises:
            BuildError: Files are missing or damaged, or this CPU lacks instructions that the model was compiled for.
        """
        library = _Library(folder, check_digest=check_digest, temporary=temporary)
        try:
            return cls(library, folder)
        except BaseException:
            library.release()
            raise

    def duplicate(self) -> Self:
        """Another executable of the same model that can run at the same time as this one."""
        self._library.acquire()
        try:
            return type(self)(self._library, self.folder)
        except BaseException:
            self._library.release()
            raise

    @property
    def name(self) -> str:
        """The model's name."""
        return self._library.name

    @property
    def inputs(self) -> tuple[ArrayPort, ...]:
        """Names and shapes of the arrays to pass, in order."""
        return self._library.inputs

    @property
    def outputs(self) -> tuple[ArrayPort, ...]:
        """Names and shapes of the results, in order."""
        return self._library.outputs

    @property
    def cores(self) -> int:
        """Threads that work in a call, the caller's included."""
        return self._library.cores

    @property
    def context_bytes(self) -> int:
        """Memory for activations and line buffers of this executable, without the weights."""
        return self._library.context_bytes

    @property
    def weights_bytes(self) -> int:
        """Size of the weights file, which all executables of this folder share."""
        return self._library.weights_bytes

    @property
    def description(self) -> Mapping[str, Any]:
        """What model.json says: instruction set, compiler, flags, digests."""
        return self._library.description

    def __call__(self, *inputs: ArrayLike) -> Array | tuple[Array, ...]:
        """The model's output for these inputs; a tuple if the model has several."""
        results = self.run(inputs)
        return results[0] if len(results) == 1 else results

    def run(self, inputs: Sequence[ArrayLike], out: Sequence[Array] | None = None) -> tuple[Array, ...]:
        """The model's outputs, in order.

        Dense float32 arrays are used where they lie; other float32 arrays are copied first. `out` gives dense float32
        arrays to write the outputs to, which must not overlap the inputs.

        Raises:
            InputError: The arrays do not fit the model's inputs or outputs, or the executable is closed.
        """
        return self._run(inputs, out, None)

    def profile(self, inputs: Sequence[ArrayLike]) -> tuple[BlockTime, ...]:
        """How long each block takes in one run; the order is that of the plan's blocks."""
        seconds = (ctypes.c_double * max(1, len(self._library.blocks)))()
        self._run(inputs, None, seconds)
        return tuple(BlockTime(name, cores, seconds[index]) for index, (name, cores) in enumerate(self._library.blocks))

    def save(self, folder: Path) -> None:
        """Copy the built folder to another place, all or nothing.

        Raises:
            BuildError: The place is taken by something that is not a compiled model, or cannot be written.
        """
        copy_artefact(self.folder, folder)

    def close(self) -> None:
        """Free memory and end threads; further calls fail. Closing twice is allowed."""
        with self._lock:
            self._closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self, inputs: Sequence[ArrayLike], out: Sequence[Array] | None, seconds: "ctypes.Array[ctypes.c_double] | None"
    ) -> tuple[Array, ...]:
        given = _checked_inputs(inputs, self.inputs)
        results = _new_outputs(self.outputs) if out is None else _checked_outputs(out, self.outputs, given)
        with self._lock:
            if not self._closer.alive:
                raise InputError(f"model {self.name} is closed: load it again")
            if os.getpid() != self._owner_process:
                self._adopt_after_fork()
            self._library.run(self._context, _addresses(given), _addresses(results), seconds)
        return results

    def _adopt_after_fork(self) -> None:
        """A forked child has the parent's memory but not its threads: make a context of its own, leave the old one."""
        self._closer.detach()
        self._context = self._library.create_context()
        self._owner_process = os.getpid()
        self._closer = weakref.finalize(self, _release, self._library, self._context, self._owner_process)


def _release(library: "_Library", context: ctypes.c_void_p, owner_process: int) -> None:
    """End of an executable. A process forked from the owner has none of the threads that destroying would wait for."""
    if os.getpid() == owner_process:
        library.destroy_context(context)
        library.release()


def _checked_inputs(inputs: Sequence[ArrayLike], ports: Sequence[ArrayPort]) -> tuple[Array, ...]:
    if len(inputs) != len(ports):
        names = ", ".join(f"{port.name} {port.shape}" for port in ports)
        raise InputError(f"{len(inputs)} arrays given, but the model has {len(ports)} inputs: {names}")
    return tuple(_checked_input(array, port) for array, port in zip(inputs, ports, strict=True))


def _checked_input(value: ArrayLike, port: ArrayPort) -> Array:
    array = np.asarray(value)
    if array.dtype.newbyteorder("=") != np.float32:
        raise InputError(
            f"input {port.name} has element type {array.dtype}, but float32 is needed: pass array.astype(numpy.float32)"
        )
    if array.shape != port.shape:
        raise InputError(f"input {port.name} has shape {array.shape}, but the model was compiled for {port.shape}")
    return np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def _new_outputs(ports: Sequence[ArrayPort]) -> tuple[Array, ...]:
    return tuple(np.empty(port.shape, np.float32) for port in ports)


def _checked_outputs(out: Sequence[Array], ports: Sequence[ArrayPort], inputs: Sequence[Array]) -> tuple[Array, ...]:
    if len(out) != len(ports):
        raise InputError(f"{len(out)} arrays given as `out`, but the model has {len(ports)} outputs")
    for array, port in zip(out, ports, strict=True):
        if array.dtype != np.float32 or array.shape != port.shape:
            raise InputError(
                f"`out` for {port.name} is {array.dtype} {array.shape}, but float32 {port.shape} is needed"
            )
        if not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
            raise InputError(f"`out` for {port.name} must be contiguous, aligned and writable")
        if any(np.may_share_memory(array, other) for other in inputs):
            raise InputError(f"`out` for {port.name} overlaps an input")
    for index, array in enumerate(out):
        if any(np.may_share_memory(array, other) for other in out[:index]):
            raise InputError(f"`out` for {ports[index].name} overlaps another output")
    return tuple(out)


def _addresses(arrays: Sequence[Array]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in arrays))


class _Library:
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
            path = os.fsencode(folder / WEIGHTS_FILE)
            self._check(self._library.dlfusion_open(path, CHECK_DIGEST if check_digest else 0, self._model))
        except BaseException:
            _ctypes.dlclose(self._library._handle)
            raise
        self.name = self._library.dlfusion_name().decode()
        self.inputs = self._ports("input")
        self.outputs = self._ports("output")
        self.blocks = tuple(
            (self._library.dlfusion_block_name(index).decode(), int(self._library.dlfusion_block_cores(index)))
            for index in range(self._library.dlfusion_block_count())
        )
        self.cores = int(self._library.dlfusion_cores())
        self.context_bytes = int(self._library.dlfusion_context_bytes())
        self.weights_bytes = int(self._library.dlfusion_weights_bytes())

    def create_context(self) -> ctypes.c_void_p:
        context = ctypes.c_void_p()
        self._check(self._library.dlfusion_create(self._model, context))
        return context

    def destroy_context(self, context: ctypes.c_void_p) -> None:
        self._library.dlfusion_destroy(context)

    def run(
        self,
        context: ctypes.c_void_p,
        inputs: "ctypes.Array[ctypes.c_void_p]",
        outputs: "ctypes.Array[ctypes.c_void_p]",
        seconds: "ctypes.Array[ctypes.c_double] | None",
    ) -> None:
        if seconds is None:
            self._check(self._library.dlfusion_run(context, inputs, outputs))
        else:
            self._check(self._library.dlfusion_run_timed(context, inputs, outputs, seconds))

    def acquire(self) -> None:
        with self._lock:
            self._users += 1

    def release(self) -> None:
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
    return description


def _open_library(path: Path) -> ctypes.CDLL:
    """Open a shared library under a path of its own.

    The loader takes a path that it has open already for the same library, also when another file has been put there
    since; through a symbolic link with a new name it looks at the file.
    """
    with tempfile.TemporaryDirectory(prefix="dlfusion-load-") as folder:
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
