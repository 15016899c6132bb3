"""Model files as messages of the onnx package."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from dlfusion.errors import ModelError

if TYPE_CHECKING:
    import onnx_ir

Source: TypeAlias = Union[str, os.PathLike[str], onnx.ModelProto, "onnx_ir.Model"]
"""What a model can be given as."""


def parse(path: Path) -> onnx.ModelProto:
    """The file's content.

    Raises:
        ModelError: the file cannot be read or is not an ONNX model.
    """
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
