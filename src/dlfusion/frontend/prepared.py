"""Models of any kind: read by onnx_ir, prepared on its model, and then taken over."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnx_ir

from dlfusion.errors import ModelError
from dlfusion.frontend.external import require_external_data
from dlfusion.frontend.model import Attribute, Model, Node, Value
from dlfusion.frontend.preparing import prepare


def prepared_model(
    source: onnx.ModelProto | onnx_ir.Model, path: Path | None, shapes: Mapping[str, Sequence[int]]
) -> Model:
    """The model after preparation; arrays stay where they are until they are read.

    Args:
        source: a model, which is not changed.
        path: the file that it was read from, if it was.
        shapes: whole shapes of inputs by name.

    Raises:
        ModelError: it is not an ONNX model, data stored beside it is missing, or it contradicts itself or `shapes`.
        UnsupportedError: the operator set is too old or too new, or an input is not float32.
    """
    if isinstance(source, onnx_ir.Model):
        model = source.clone()
    else:
        model = _from_proto(source, "the model" if path is None else str(path))
        if path is not None:
            onnx_ir.external_data.set_base_dir(model.graph, path.parent)
    require_external_data(model, "the model" if path is None else str(path))
    prepare(model, shapes)
    graph = model.graph
    return Model(
        name=graph.name or "",
        opset=model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1)),
        inputs=tuple(_value(value) for value in graph.inputs),
        outputs=tuple(_value(value) for value in graph.outputs),
        nodes=tuple(_node(node) for node in graph if any(output.const_value is None for output in node.outputs)),
    )


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
        raise ModelError(f"{name} is not a valid ONNX model: {_first_cause(error)}") from error


def _first_cause(error: BaseException) -> BaseException:
    """What was raised first: onnx_ir then says only in which of its functions."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _node(node: onnx_ir.Node) -> Node:
    return Node(
        name=node.name or "",
        op_type=node.op_type,
        domain=node.domain,
        inputs=tuple(None if value is None else _value(value) for value in node.inputs),
        outputs=tuple(_value(output) for output in node.outputs),
        attributes={
            name: Attribute(attribute.type.name, attribute.value) for name, attribute in node.attributes.items()
        },
    )


def _value(value: onnx_ir.Value) -> Value:
    constant = value.const_value
    return Value(
        name=str(value.name),
        shape=_static(value.shape),
        constant=None if constant is None else constant.numpy,
        is_defined=value.producer() is not None or constant is not None or value.is_graph_input(),
        is_read=bool(value.uses()) or value.is_graph_output(),
    )


def _static(shape: onnx_ir.Shape | None) -> tuple[int, ...] | None:
    """The sizes; None if one of them is unknown."""
    sizes = () if shape is None else tuple(size for size in shape if isinstance(size, int))
    return None if shape is None or len(sizes) < len(shape) else sizes
