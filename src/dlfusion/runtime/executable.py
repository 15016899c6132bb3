"""A compiled model in memory, called with NumPy arrays."""

import ctypes
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from dlfusion.errors import InputError
from dlfusion.graph.graph import Array
from dlfusion.runtime.build import copy_artefact
from dlfusion.runtime.library import Library, RunBlock
from dlfusion.runtime.memory import require_available
from dlfusion.runtime.program import ArrayPort


class Executable:
    """A compiled model, ready to run.

    It owns its activations and threads: calls from several threads wait for each other. For calls that run at the same
    time, give each thread its own `duplicate()`, which shares the weights. Usable as a context manager; `close` frees
    the memory and ends the threads, and so does the garbage collector.
    """

    def __init__(self, library: Library, folder: Path) -> None:
        """Use `load`; this makes a context of an open library."""
        self.folder = folder
        self._library = library
        self._context = library.create_context()
        self._owner_process = os.getpid()
        self._has_run = False
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
        library = Library(folder, check_digest=check_digest, temporary=temporary)
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
    def blocks(self) -> tuple[RunBlock, ...]:
        """The blocks in the order they run."""
        return self._library.blocks

    @property
    def cores(self) -> int:
        """Threads that work in a call, the caller's included."""
        return self._library.cores

    @property
    def context_bytes(self) -> int:
        """Memory for activations, line buffers and what kernels work in, without the weights."""
        return self._library.context_bytes

    @property
    def weights_bytes(self) -> int:
        """Size of the weights file, which all executables of this folder share."""
        return self._library.weights_bytes

    @property
    def description(self) -> Mapping[str, Any]:
        """What model.json says: instruction set, compiler, flags, digests."""
        return self._library.description

    def __call__(self, *inputs: ArrayLike) -> tuple[Array, ...]:
        """The model's outputs, in order, for arrays in the order of its inputs; see `run`."""
        return self.run(inputs)

    def run(self, inputs: Sequence[ArrayLike], out: Sequence[Array] | None = None) -> tuple[Array, ...]:
        """The model's outputs, in order.

        Dense float32 arrays are used where they lie; other float32 arrays are copied first. `out` gives dense float32
        arrays to write the outputs to, which must not overlap the inputs.

        Raises:
            InputError: The arrays do not fit the model's inputs or outputs, or the executable is closed.
        """
        return self._run(inputs, out, None)

    def profile(self, *inputs: ArrayLike) -> tuple[float, ...]:
        """Wall-clock seconds that each of `blocks` takes in one run."""
        seconds = (ctypes.c_double * max(1, len(self.blocks)))()
        self._run(inputs, None, seconds)
        return tuple(seconds[index] for index in range(len(self.blocks)))

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self, inputs: Sequence[ArrayLike], out: Sequence[Array] | None, seconds: "ctypes.Array[ctypes.c_double] | None"
    ) -> tuple[Array, ...]:
        given = _checked_inputs(inputs, self.inputs)
        if not self._has_run:  # from then on its memory is in use
            require_available(self.context_bytes, f"running the model {self.name}")
            self._has_run = True
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


def _release(library: Library, context: ctypes.c_void_p, owner_process: int) -> None:
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
