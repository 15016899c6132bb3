"""Model files and model objects as an onnx_ir model of our own, whose graph may be changed."""

import os
from pathlib import Path

import onnx
import onnx_ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from dlfusion.errors import ModelError

Source = str | os.PathLike[str] | onnx.ModelProto | onnx_ir.Model
"""What a model can be given as."""


def read(source: Source) -> onnx_ir.Model:
    """The model of a file or object; arrays stay where they are until they are read.

    Raises:
        ModelError: the file cannot be read or is not an ONNX model, or data stored beside it is missing.
    """
    if isinstance(source, onnx_ir.Model):
        model = source.clone()
    elif isinstance(source, onnx.ModelProto):
        model = _from_proto(source, "the model")
    else:
        path = Path(source)
        model = _from_proto(_parse(path), str(path))
        onnx_ir.external_data.set_base_dir(model.graph, path.parent)
        _require_external_data(model, path)
    return model


def _parse(path: Path) -> onnx.ModelProto:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        proto = onnx.ModelProto()
        proto.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(
            f"{path} ({len(content)} bytes) is not an ONNX model, or was cut off: {error}. "
            "Export or download the file again."
        ) from error
    return proto


def _from_proto(proto: onnx.ModelProto, name: str) -> onnx_ir.Model:
    # Almost any short file parses as some message; a model has an IR version, operator sets and a graph with outputs.
    if not proto.ir_version or not proto.opset_import or not proto.graph.output:
        raise ModelError(
            f"{name} is not an ONNX model: it states IR version {proto.ir_version}, {len(proto.opset_import)} operator "
            f"sets and {len(proto.graph.output)} outputs. Export or download the file again."
        )
    try:
        return onnx_ir.from_proto(proto)
    except Exception as error:  # onnx_ir states no exceptions of its own: whatever it raises, the model is at fault
        raise ModelError(f"{name} is not a valid ONNX model: {error}") from error


def _require_external_data(model: onnx_ir.Model, path: Path) -> None:
    """Checks here, with a message of ours, what would otherwise fail when an array is first read."""
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            tensor = value.const_value
            if not isinstance(tensor, onnx_ir.ExternalTensor):
                continue
            file = Path(tensor.path)
            if not file.is_file():
                raise ModelError(
                    f"{path}: the data of {name} is stored in {file}, which does not exist. "
                    "Put that file beside the model."
                )
            needed = (tensor.offset or 0) + (tensor.length or tensor.nbytes)
            if file.stat().st_size < needed:
                raise ModelError(
                    f"{path}: the data of {name} ends at byte {needed} of {file}, which has only "
                    f"{file.stat().st_size} bytes. Export or download the file again."
                )
