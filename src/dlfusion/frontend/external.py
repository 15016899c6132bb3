"""Arrays that a model keeps in files beside its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import onnx_ir

from dlfusion.errors import ModelError


def require_external_data(model: onnx_ir.Model, title: str) -> None:
    """Nothing, if all data stored beside the model can be read: what would otherwise fail when an array is first read.

    Only files in the model's folder and below count, links that lead there included. Others a model has no reason to
    name, and one from elsewhere must not make us read them.

    Raises:
        ModelError: a file is missing, too short, or outside the model's folder; `title` names the model.
    """
    for name, tensor in _external_tensors(model):
        location = os.fspath(tensor.location)
        if not os.fspath(tensor.base_dir):
            raise ModelError(
                f"{title} keeps the data of {name} in the file {location} beside it, but where it was read from is not "
                "known. Give its path, or read it with onnx.load, which reads such data too."
            )
        if not Path(tensor.path).resolve().is_relative_to(Path(tensor.base_dir).resolve()):
            raise ModelError(
                f"{title}: the data of {name} is said to be in {location}, outside the model's folder; such files are "
                "not read. Export the model again with its data beside it."
            )
        _require_bytes(name, tensor, title)


def _require_bytes(name: str, tensor: onnx_ir.ExternalTensor, title: str) -> None:
    file = Path(tensor.path)
    if not file.is_file():
        raise ModelError(
            f"{title}: the data of {name} is stored in {file}, which does not exist. Put that file beside the model."
        )
    offset, length = tensor.offset or 0, tensor.length or tensor.nbytes
    if length < tensor.nbytes:
        raise ModelError(
            f"{title}: the data of {name} is said to be {length} bytes from byte {offset} on, but its shape needs "
            f"{tensor.nbytes} bytes. Export or download the file again."
        )
    if file.stat().st_size < offset + length:
        raise ModelError(
            f"{title}: the data of {name} ends at byte {offset + length} of {file}, which has only "
            f"{file.stat().st_size} bytes. Export or download the file again."
        )


def _external_tensors(model: onnx_ir.Model) -> Iterator[tuple[str, onnx_ir.ExternalTensor]]:
    """All of them: constants by their names, and attributes of nodes by those of the node's first output."""
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            if isinstance(value.const_value, onnx_ir.ExternalTensor):
                yield name, value.const_value
    for node in model.graph.all_nodes():
        for attribute in node.attributes.values():
            for tensor in attribute.value if attribute.type is onnx_ir.AttributeType.TENSORS else (attribute.value,):
                if isinstance(tensor, onnx_ir.ExternalTensor):
                    yield str(node.outputs[0].name) if node.outputs else str(node.name), tensor
