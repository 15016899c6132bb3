"""ONNX Runtime as the engine to compare with."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dlfusion.errors import DlfusionError
from dlfusion.graph.graph import Array


def session(model: Path, cores: int) -> Callable[[Mapping[str, Array]], Sequence[Array]]:
    """A function from named inputs to outputs, run by ONNX Runtime with all its optimizations on `cores` threads.

    Raises:
        DlfusionError: the onnxruntime package is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise DlfusionError(
            "comparing with ONNX Runtime needs the onnxruntime package; install it: pip install 'dlfusion[bench]'"
        ) from error
    choices = onnxruntime.SessionOptions()
    choices.intra_op_num_threads = cores
    choices.inter_op_num_threads = 1
    choices.log_severity_level = 3
    running = onnxruntime.InferenceSession(str(model), choices, providers=["CPUExecutionProvider"])

    def run(feeds: Mapping[str, Array]) -> Sequence[Array]:
        outputs: Sequence[Array] = running.run(None, dict(feeds))
        return outputs

    return run


def version() -> str:
    """Its version, for records.

    Raises:
        DlfusionError: the onnxruntime package is not installed.
    """
    from importlib import metadata

    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError as error:
        raise DlfusionError("the onnxruntime package is not installed: pip install 'dlfusion[bench]'") from error
