"""Model files as messages of the onnx package."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

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


def require_text(message: Message) -> None:
    """Nothing, if all names of a model are text: protobuf hands others over as bytes, for which nobody is prepared.

    Raises:
        ModelError: some are not UTF-8.
    """
    if isinstance(message, onnx.TensorProto):  # listing the fields of one would copy its elements
        _require_text("name", message.name)
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in [value] if isinstance(value, Message) else value:
                require_text(part)
        elif field.type == FieldDescriptor.TYPE_STRING:
            for text in [value] if isinstance(value, str | bytes) else value:
                _require_text(field.name, text)


def _require_text(field: str, text: object) -> None:
    if not isinstance(text, str):
        raise ModelError(f"the model is damaged: a {field} is {text!r}, no text. Export or download the file again.")
