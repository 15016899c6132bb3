"""ncnn (https://github.com/Tencent/ncnn): converts with `pnnx`; fp32 and bf16 storage.

`pnnx` names torch as what it depends on, for its Python functions. Only its program is used here, which needs nothing:
`pip install --no-deps pnnx` saves the gigabytes.
"""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Session, Task, run_converter, shaped
from dlfusion.graph.graph import Array
from dlfusion.targets.cpu.precision import Precision

_STEM = "converted"


class Ncnn(Adapter):
    """Half precision off, everything else as it is by default: Winograd, packed layouts, its light mode."""

    name = "ncnn"
    title = "ncnn"
    distribution = "ncnn"
    packages = ("ncnn", "pnnx")
    install = "pip install 'dlfusion[ncnn]' && pip install --no-deps pnnx"
    precisions = tuple(Precision)

    @classmethod
    def settings(cls, task: Task) -> dict[str, str]:
        return {
            "num_threads": str(task.cores),
            "use_fp16_packed": "0",
            "use_fp16_storage": "0",
            "use_fp16_arithmetic": "0",
            "use_bf16_storage": str(int(task.precision is Precision.BF16)),
        }

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        """Makes `converted.ncnn.param` and `.bin`.

        Raises:
            CannotRunError: pnnx fails, leaves a node that ncnn does not know, or the batch is larger than 1, which ncnn
                cannot hold.
        """
        cls.require()
        for port in task.inputs:
            if len(port.shape) > 1 and port.shape[0] != 1:
                raise CannotRunError(f"it has no batches: input {port.name} has {port.shape[0]} images")
        # pnnx writes its files beside the model, named after it, some of them as large as the model.
        copy = folder / f"{_STEM}.onnx"
        shutil.copyfile(task.model, copy)
        shapes = ",".join(f"[{','.join(map(str, port.shape))}]" for port in task.inputs)
        command = [str(_program()), copy.name, f"inputshape={shapes}", "fp16=0"]
        param = run_converter(command, folder, folder / f"{_STEM}.ncnn.param")
        unknown = sorted({kind for kind in _kinds(param) if "." in kind or "::" in kind})
        if unknown:
            raise CannotRunError(f"its converter knows no layer for {', '.join(unknown)}")
        kept = {param.name, f"{_STEM}.ncnn.bin"}
        for file in folder.iterdir():
            if file.name not in kept:
                file.unlink()
        return param

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        cls.require()
        import ncnn

        net = ncnn.Net()
        for option, value in cls.settings(task).items():
            current = getattr(net.opt, option)
            setattr(net.opt, option, type(current)(int(value)))
        if net.load_param(str(task.file)) != 0 or net.load_model(str(task.file.with_suffix(".bin"))) != 0:
            raise CannotRunError("it cannot load what its converter made")
        # pnnx names the model's inputs in0, in1, ... and its outputs out0, out1, ...
        mats = {f"in{index}": ncnn.Mat(_without_batch(array)) for index, array in enumerate(inputs)}
        names = [f"out{index}" for index in range(len(task.outputs))]

        def run() -> list[Any]:
            extractor = net.create_extractor()
            for name, mat in mats.items():
                extractor.input(name, mat)
            return [_extract(extractor, name) for name in names]

        return Session(run, lambda found: shaped([np.array(mat) for mat in found], task.outputs))


def _program() -> Path:
    """The converter's program inside its package, found without importing the package, which would import torch."""
    found = find_spec("pnnx")
    if found is None or found.origin is None:
        raise CannotRunError("the package pnnx has no folder")
    return Path(found.origin).parent / "pnnx"


def _kinds(param: Path) -> list[str]:
    """The kind of every layer of a file of ncnn: two lines of numbers, then one line for each layer."""
    return [line.split()[0] for line in param.read_text(encoding="utf-8").splitlines()[2:] if line.strip()]


def _without_batch(array: Array) -> Array:
    """The array as ncnn's matrices hold it, without the axis of the batch."""
    return np.ascontiguousarray(array[0]) if array.ndim > 1 else array


def _extract(extractor: Any, name: str) -> Any:
    status, mat = extractor.extract(name)
    if status != 0:
        raise CannotRunError(f"it fails with status {status} when it computes {name}")
    return mat
