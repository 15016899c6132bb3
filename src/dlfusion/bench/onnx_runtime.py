"""ONNX Runtime as the engine to compare with."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Protocol

from dlfusion.errors import DlfusionError, InputError
from dlfusion.graph.graph import Array


class NamedPort(Protocol):
    """An input as all stages know it: something with the ONNX input's name."""

    @property
    def name(self) -> str:
        """The ONNX input's name."""
        ...


def is_installed() -> bool:
    """True if the onnxruntime package is there."""
    return util.find_spec("onnxruntime") is not None


def version() -> str:
    """Its version, for records.

    Raises:
        InputError: the onnxruntime package is not installed.
    """
    _require()
    return metadata.version("onnxruntime")


def preload() -> None:
    """Load its code, so that a measurement that follows sees only what a model needs.

    Raises:
        InputError: the onnxruntime package is not installed.
    """
    _require()
    import_module("onnxruntime")


def session(model: Path, cores: int) -> Callable[[Mapping[str, Array]], tuple[Array, ...]]:
    """A function from named inputs to outputs, run by ONNX Runtime with all its optimizations on `cores` threads.

    Raises:
        InputError: the onnxruntime package is not installed.
        DlfusionError: ONNX Runtime refuses the model.
    """
    _require()
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


def _require() -> None:
    if not is_installed():
        raise InputError("comparing with ONNX Runtime needs its package; install it: pip install 'dlfusion[bench]'")
