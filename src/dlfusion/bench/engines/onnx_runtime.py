"""ONNX Runtime: a peer, and the reference that all outputs are compared with."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from dlfusion.bench.engines.adapter import Adapter, Session, Task, shaped
from dlfusion.errors import DlfusionError
from dlfusion.graph.graph import Array


class NamedPort(Protocol):
    """An input as all stages know it: something with the ONNX input's name."""

    @property
    def name(self) -> str:
        """The ONNX input's name."""
        ...


class OnnxRuntime(Adapter):
    """All graph optimizations, which are its default; threads spin for a moment after a run, as they do by default."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    distribution = "onnxruntime"
    packages = ("onnxruntime",)
    install = "pip install 'dlfusion[bench]'"

    @classmethod
    def settings(cls, task: Task) -> dict[str, str]:
        return {"intra_op_num_threads": str(task.cores), "inter_op_num_threads": "1"}

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        run = session(task.file, task.cores)
        feeds = {port.name: array for port, array in zip(task.inputs, inputs, strict=True)}
        return Session(lambda: run(feeds), lambda results: shaped(results, task.outputs))


def session(model: Path, cores: int) -> Callable[[Mapping[str, Array]], tuple[Array, ...]]:
    """A function from named inputs to outputs, run by ONNX Runtime with all its optimizations on `cores` threads.

    Raises:
        InputError: the onnxruntime package is not installed.
        DlfusionError: ONNX Runtime refuses the model.
    """
    OnnxRuntime.require()
    import onnxruntime

    choices = onnxruntime.SessionOptions()
    choices.intra_op_num_threads = cores
    choices.inter_op_num_threads = 1
    choices.log_severity_level = 3  # errors only
    try:
        running = onnxruntime.InferenceSession(str(model), choices, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions have no common base but Exception.
        raise DlfusionError(f"ONNX Runtime cannot load {model}: {error}") from error

    def run(feeds: Mapping[str, Array]) -> tuple[Array, ...]:
        return tuple(running.run(None, dict(feeds)))

    return run


def outputs(model: Path, ports: Sequence[NamedPort], inputs: Sequence[Array], cores: int = 1) -> tuple[Array, ...]:
    """What ONNX Runtime computes for these inputs, in the order of the model's outputs.

    Raises:
        InputError: the onnxruntime package is not installed.
        DlfusionError: ONNX Runtime refuses the model.
    """
    feeds = {port.name: array for port, array in zip(ports, inputs, strict=True)}
    return session(model, cores)(feeds)
