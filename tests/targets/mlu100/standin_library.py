"""The stand-in as a library that tests call from Python, and as objects that small C++ programs link."""

import ctypes
import functools
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlfusion.runtime.cache import open_cache
from tests.support.compilers import cxx

Array = NDArray[np.float32]
Shape = tuple[int, int, int, int]
STANDIN = Path(__file__).parents[3] / "src/dlfusion/targets/mlu100/standin"
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", f"-I{STANDIN / 'include'}", f"-I{STANDIN}")
TIMEOUT_SECONDS = 120

SUCCESS, INVALIDARG, LENGTHERR, OUTOFRANGE, DOMAINERR = 0, 2, 3, 4, 1
INVALIDPARAM, BADALLOC, BADTYPEID, UNSUPPORT, NODEVICE = 8, 9, 10, 12, -1
"""Values of cnmlStatus_t."""

TENSOR, FILTER, CONST = 0, 1, 2
FLOAT16, FLOAT32, UINT8 = 1, 2, 8
NCHW, NHWC = 0, 3
MLU100 = 3
PARAM_END = 0xFFFFFFFF


def compiler_run(arguments: Sequence[str]) -> None:
    """Calls the compiler; what it says is shown if it fails, and a warning is a failure."""
    done = subprocess.run([*cxx(), *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@functools.cache
def library() -> Path:
    """The stand-in as a shared library, compiled once and kept as long as its sources are the same."""
    sources = sorted(path for path in STANDIN.rglob("*") if path.suffix in (".cpp", ".hpp", ".h"))
    state = hashlib.sha256(repr((cxx(), FLAGS)).encode())
    for source in sources:
        state.update(source.name.encode() + source.read_bytes())
    folder = open_cache().folder / f"standin-{state.hexdigest()[:16]}"
    target = folder / "libstandin.so"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in sources:
        if source.suffix == ".cpp":
            objects.append(str(folder / f"{source.stem}.{os.getpid()}.o"))
            compiler_run([*FLAGS, "-c", str(source), "-o", objects[-1]])
    temporary = folder / f"{os.getpid()}.so"
    compiler_run(["-shared", "-pthread", *objects, "-o", str(temporary)])
    temporary.replace(target)
    return target


@dataclass(frozen=True)
class Finished:
    """How a program ended and what it printed."""

    status: int
    text: str
    complaints: str


def run_program(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> Finished:
    """Compiles a C++ program, links it with the stand-in, and runs it."""
    source, program = folder / "program.cpp", folder / "program"
    source.write_text(text, encoding="utf-8")
    shared = library()
    compiler_run([*FLAGS, str(source), str(shared), f"-Wl,-rpath,{shared.parent}", "-pthread", "-o", str(program)])
    return run_again(program, environment)


def run_again(program: Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Runs a program that is compiled."""
    done = subprocess.run(
        [str(program)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return Finished(done.returncode, done.stdout, done.stderr)


class InvokeParameter(ctypes.Structure):
    """`cnrtInvokeFuncParam_t` of cnrt.h."""

    _fields_ = [
        ("data_parallelism", ctypes.POINTER(ctypes.c_int)),
        ("affinity", ctypes.POINTER(ctypes.c_uint)),
        ("end", ctypes.c_void_p),
    ]


@dataclass(frozen=True)
class Tensor:
    """A tensor on the device."""

    handle: ctypes.c_void_p
    shape: Shape


class Session:
    """The library between cnmlInit and cnmlExit, with a queue. At the end all handles of the session are destroyed."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(library()))
        self._library.cnmlMallocBatchBuffer.restype = ctypes.c_void_p
        self._library.cnmlGetTensorSize.restype = ctypes.c_size_t
        self._handles: list[tuple[str, ctypes.c_void_p]] = []
        self._kept: list[object] = []
        self.queue = ctypes.c_void_p()

    def __enter__(self) -> "Session":
        self.ok("cnmlInit", 0)
        self.ok("cnrtSetCurrentDevice", ctypes.c_uint64(0))
        self.ok("cnrtCreateQueue", ctypes.byref(self.queue))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call("cnrtSyncQueue", self.queue)
        self.call("cnrtDestroyQueue", self.queue)
        for name, handle in reversed(self._handles):
            if name == "cnmlFreeBuffer":
                self.call(name, handle)
            elif handle.value:
                self.call(name, ctypes.byref(handle))
        self.call("cnmlExit")

    def call(self, name: str, *arguments: Any) -> int:
        """The status that a function returns. Tensors stand for their handles; floats are passed as float."""
        converted = [
            argument.handle
            if isinstance(argument, Tensor)
            else ctypes.c_float(argument)
            if isinstance(argument, float)
            else argument
            for argument in arguments
        ]
        return int(self._library[name](*converted))

    def ok(self, name: str, *arguments: Any) -> None:
        """Calls a function that must succeed."""
        assert self.call(name, *arguments) == SUCCESS, name

    def size_bytes(self, tensor: Tensor) -> int:
        """What cnmlGetTensorSize says."""
        return int(self._library.cnmlGetTensorSize(tensor.handle))

    def tensor(self, shape: Sequence[int], kind: int = TENSOR, data_type: int = FLOAT16) -> Tensor:
        """A tensor of this shape."""
        n, c, h, w = shape
        handle = ctypes.c_void_p()
        self.ok("cnmlCreateTensor", ctypes.byref(handle), kind, data_type, n, c, h, w)
        self._handles.append(("cnmlDestroyTensor", handle))
        return Tensor(handle, (n, c, h, w))

    def cpu_tensor(self, shape: Sequence[int], data_type: int = FLOAT32, order: int = NCHW) -> ctypes.c_void_p:
        """A host tensor, for data whose axes are n, c, h, w in this order."""
        handle = ctypes.c_void_p()
        self.ok("cnmlCreateCpuTensor", ctypes.byref(handle), TENSOR, data_type, order, *shape)
        self._handles.append(("cnmlDestroyCpuTensor", handle))
        return handle

    def constant(self, values: Array, kind: int = CONST) -> Tensor:
        """A constant with its values bound."""
        tensor = self.tensor(values.shape, kind)
        data = np.ascontiguousarray(values, np.float32)
        self._kept.append(data)
        self.ok("cnmlBindConstData", tensor, self.cpu_tensor(values.shape), data.ctypes.data_as(ctypes.c_void_p))
        return tensor

    def parameter(self, name: str, *arguments: Any, destroy: str = "") -> ctypes.c_void_p:
        """A parameter made by cnmlCreate<name>."""
        handle = ctypes.c_void_p()
        self.ok(f"cnmlCreate{name}", ctypes.byref(handle), *arguments)
        self._handles.append((f"cnmlDestroy{destroy or name}", handle))
        return handle

    def operator(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """An operator made by cnmlCreate<name>Op."""
        handle = ctypes.c_void_p()
        self.ok(f"cnmlCreate{name}Op", ctypes.byref(handle), *arguments)
        self._handles.append(("cnmlDestroyFusionOp" if name == "Fusion" else "cnmlDestroyBaseOp", handle))
        return handle

    def compiled(self, name: str, *arguments: Any, cores: int = 1) -> ctypes.c_void_p:
        """A base operator that is compiled."""
        operator = self.operator(name, *arguments)
        self.ok("cnmlCompileBaseOp", operator, MLU100, cores)
        return operator

    def buffer(self, tensor: Tensor, ways: int = 1) -> ctypes.c_void_p:
        """Device memory for the data of a tensor."""
        address = ctypes.c_void_p(self._library.cnmlMallocBatchBuffer(tensor.handle, ways))
        assert address.value
        self._handles.append(("cnmlFreeBuffer", address))
        return address

    def to_device(self, tensor: Tensor, values: NDArray[Any], address: ctypes.c_void_p, ways: int = 1) -> None:
        """Copies values in n, c, h, w order to the device; with more ways, those of one lie after the other."""
        kind = UINT8 if values.dtype == np.uint8 else FLOAT32
        data = np.ascontiguousarray(values)
        pointer = data.ctypes.data_as(ctypes.c_void_p)
        cpu = self.cpu_tensor(tensor.shape, kind)
        self.ok("cnmlMemcpyBatchTensorToDevice", cpu, pointer, tensor, address, ways)

    def to_host(self, tensor: Tensor, address: ctypes.c_void_p, ways: int = 1) -> Array:
        """The values of a tensor on the device; with more ways, the first axis has ways * n elements."""
        n, *rest = tensor.shape
        values = np.empty((ways * n, *rest), np.float32)
        pointer = values.ctypes.data_as(ctypes.c_void_p)
        cpu = self.cpu_tensor(tensor.shape)
        self.ok("cnmlMemcpyBatchTensorToHost", tensor, address, cpu, pointer, ways)
        return values

    def invoke(self, ways: int = 1) -> Any:
        """The parameter of compute calls."""
        parameter = InvokeParameter(
            ctypes.pointer(ctypes.c_int(ways)), ctypes.pointer(ctypes.c_uint(1)), ctypes.c_void_p(PARAM_END)
        )
        self._kept.append(parameter)
        return ctypes.byref(parameter)

    def run(
        self, name: str, operator: ctypes.c_void_p, inputs: Sequence[tuple[Tensor, Array]], output: Tensor
    ) -> Array:
        """What a compiled operator of fixed arity makes of its inputs."""
        addresses = []
        for tensor, values in inputs:
            addresses.append(self.buffer(tensor))
            self.to_device(tensor, values, addresses[-1])
        result = self.buffer(output)
        self.ok(f"cnmlCompute{name}OpForward_V3", operator, *addresses, result, self.invoke(), self.queue)
        self.ok("cnrtSyncQueue", self.queue)
        return self.to_host(output, result)

    def run_lists(
        self, name: str, operator: ctypes.c_void_p, inputs: Sequence[tuple[Tensor, Array]], outputs: Sequence[Tensor]
    ) -> list[Array]:
        """What a compiled operator that takes lists makes of its inputs."""
        addresses = [self.buffer(tensor) for tensor, _ in inputs]
        for (tensor, values), address in zip(inputs, addresses, strict=True):
            self.to_device(tensor, values, address)
        results = [self.buffer(tensor) for tensor in outputs]
        lists = (pointers(addresses), len(addresses), pointers(results), len(results))
        self.ok(f"cnmlCompute{name}OpForward_V3", operator, *lists, self.invoke(), self.queue)
        self.ok("cnrtSyncQueue", self.queue)
        return [self.to_host(tensor, address) for tensor, address in zip(outputs, results, strict=True)]


def pointers(handles: Sequence[ctypes.c_void_p]) -> Any:
    """A C array of handles or addresses."""
    return (ctypes.c_void_p * len(handles))(*handles)


def handles(tensors: Sequence[Tensor]) -> Any:
    """A C array of the handles of tensors."""
    return pointers([tensor.handle for tensor in tensors])


def halves(values: NDArray[Any]) -> Array:
    """What is left of values when the device holds them."""
    return values.astype(np.float16).astype(np.float32)
