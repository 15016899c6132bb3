"""Models that can be converted as they are: no constant to be computed, no shape to be inferred, nothing to simplify.

Most models that are exported for inference are such. `preparing` would leave them as they are, and importing the
packages that it needs takes longer than all else that is done with a model of a hundred layers.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from onnx.defs import onnx_opset_version

from dlfusion.frontend.model import Attribute, Constant, Model, Node, Value
from dlfusion.graph.graph import Array

OPERATORS = frozenset(
    {
        "Abs",
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Ceil",
        "Celu",
        "Clip",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "Div",
        "Elu",
        "Erf",
        "Exp",
        "Flatten",
        "Floor",
        "Gelu",
        "Gemm",
        "GlobalAveragePool",
        "GlobalLpPool",
        "GlobalMaxPool",
        "GroupNormalization",
        "HardSigmoid",
        "HardSwish",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "LpPool",
        "MatMul",
        "Max",
        "MaxPool",
        "Mean",
        "MeanVarianceNormalization",
        "Min",
        "Mish",
        "Mul",
        "Neg",
        "PRelu",
        "Pow",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceSumSquare",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Sqrt",
        "Sub",
        "Sum",
        "Swish",
        "Tanh",
        "ThresholdedRelu",
    }
)
"""Operators that nothing can be made of without knowing the activations that they read."""

OLDEST_OPSET = 7
"""What importing supports."""

NEWEST_OPSET = onnx_opset_version()
"""What the `onnx` package knows: later ones may give operators another meaning."""

_KINDS: Mapping[int, Callable[[AttributeProto], object]] = {
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.STRING: lambda attribute: attribute.s.decode(errors="replace"),
    AttributeProto.FLOATS: lambda attribute: tuple(attribute.floats),
    AttributeProto.INTS: lambda attribute: tuple(attribute.ints),
}


def plain_model(proto: ModelProto) -> Model | None:
    """The model, if it is plain; None if it is not, or if anything about it is unusual."""
    graph = proto.graph
    opset = {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import}.get("ai.onnx", 0)
    unusual = (
        proto.functions or graph.sparse_initializer or not proto.ir_version or not OLDEST_OPSET <= opset <= NEWEST_OPSET
    )
    if unusual or not all(_is_plain(node) for node in graph.node) or not _is_connected(graph):
        return None
    inputs = [_input(port) for port in graph.input]
    arrays = [_array(tensor) for tensor in graph.initializer]
    if None in inputs or any(array is None for array in arrays):
        return None
    ports = tuple(port for port in inputs if port is not None)
    values = {port.name: port for port in ports}
    for tensor, array in zip(graph.initializer, arrays, strict=True):
        values[tensor.name] = Value(tensor.name, tuple(tensor.dims), array)
    nodes = tuple(_node(node, values) for node in graph.node)
    return Model(graph.name, opset, ports, tuple(values[port.name] for port in graph.output), nodes)


def _is_plain(node: NodeProto) -> bool:
    """True if the node needs no preparation, provided that it reads an activation."""
    return (
        node.op_type in OPERATORS
        and node.domain in ("", "ai.onnx")
        and node.name != ""
        and len(node.output) == 1
        and all(attribute.type in _KINDS and not attribute.ref_attr_name for attribute in node.attribute)
    )


def _is_connected(graph: GraphProto) -> bool:
    """True if each value is defined once and before it is read, and each node reads an activation and is read."""
    constants = {tensor.name for tensor in graph.initializer}
    activations = {port.name for port in graph.input}
    results = {node.output[0] for node in graph.node}
    names = [*constants, *activations, *results]
    defined = len(graph.initializer) + len(graph.input) + len(graph.node)
    if len(set(names)) < defined or "" in names:
        return False
    for node in graph.node:
        read = {name for name in node.input if name} - constants
        if not read or not read <= activations:
            return False
        activations.add(node.output[0])
    outputs = {port.name for port in graph.output}
    return outputs != set() and outputs <= results <= outputs | {name for node in graph.node for name in node.input}


def _input(port: ValueInfoProto) -> Value | None:
    """A float32 input of static shape; None if it is another."""
    tensor = port.type.tensor_type
    shape = tuple(size.dim_value for size in tensor.shape.dim)
    if tensor.elem_type != TensorProto.FLOAT or not tensor.HasField("shape") or min(shape, default=1) < 1:
        return None
    return Value(port.name, shape)


def _array(tensor: TensorProto) -> Constant | None:
    """Reads a float32 array that is stored in the model's file as bytes; None if it is another."""
    if tensor.data_type != TensorProto.FLOAT or tensor.data_location != TensorProto.DEFAULT:
        return None
    content = tensor.raw_data
    if len(content) != 4 * math.prod(tensor.dims):
        return None
    array: Array = np.frombuffer(content, "<f4").reshape(tuple(tensor.dims))
    return lambda: array


def _node(node: NodeProto, values: dict[str, Value]) -> Node:
    """The node; its output is added to `values`."""
    inputs = tuple(values[name] if name else None for name in node.input)
    output = values[node.output[0]] = Value(node.output[0])
    attributes = {
        attribute.name: Attribute(AttributeProto.AttributeType.Name(attribute.type), _KINDS[attribute.type](attribute))
        for attribute in node.attribute
    }
    return Node(node.name, node.op_type, node.domain, inputs, (output,), attributes)
