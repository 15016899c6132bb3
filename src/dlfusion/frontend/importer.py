"""Reads a model and converts it node by node."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import onnx_ir

from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.operators import CONVERTERS
from dlfusion.frontend.preparing import prepare
from dlfusion.frontend.reading import Source, read
from dlfusion.graph.graph import Graph, Port
from dlfusion.ops.reshape import Reshape

NO_SHAPES: Mapping[str, Sequence[int]] = MappingProxyType({})


def load(source: Source, shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The model as a graph, neither cleaned nor planned.

    Args:
        source: path of an ONNX file, or a model of onnx or onnx_ir, which is not changed.
        shapes: whole shapes of inputs, by name, for inputs that have open dimensions.

    Raises:
        ModelError: the model cannot be read, contradicts itself, or has open dimensions that `shapes` does not fix.
        UnsupportedError: the model uses what is not supported; the message lists all such nodes.
    """
    model = read(source)
    prepare(model, shapes or NO_SHAPES)
    opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1))
    context = Context(opset)
    inputs = []
    for value in model.graph.inputs:
        name, shape = str(value.name), _static(value.shape) or ()
        inputs.append(Port(name, context.add_input(name, shape).value, shape))
    _convert(model.graph, context)
    fed = {port.value for port in inputs}
    outputs = tuple(_output(value, context, fed) for value in model.graph.outputs)
    return Graph(
        model.graph.name or "model", tuple(inputs), outputs, tuple(context.nodes), context.constants, context.shapes
    )


def _convert(graph: onnx_ir.Graph, context: Context) -> None:
    """Converts all nodes; those that cannot be are collected, so that the user sees them at once."""
    problems: list[str] = []
    for node in graph:
        if all(output.const_value is not None for output in node.outputs):
            continue
        missing = [value.name for value in node.inputs if value is not None and not _defined(value)]
        if missing:
            raise ModelError(f"{_title(node)} reads {missing[0]}, which no node or input of the model defines")
        output = str(node.outputs[0].name)
        context.begin(node.name or f"{node.op_type} of {output}", output)
        try:
            activation = _converted(node, context)
        except UnsupportedNodeError as error:
            problems.append(f"{_title(node)}: {error}")
            activation = _stand_in(node, context)
        except (InvalidNodeError, ValueError) as error:
            # Operators raise ValueError for attributes that no model may have, such as a stride of 0.
            raise ModelError(f"{_title(node)} is inconsistent: {error}") from error
        if activation is not None:
            context.bind(output, activation)
    if problems:
        count = "1 node is" if len(problems) == 1 else f"{len(problems)} nodes are"
        listed = "\n  ".join([f"{count} not supported:", *problems])
        raise UnsupportedError(f"{listed}\n`dlfusion ops` lists what is; change the model, or export it without these.")


def _converted(node: onnx_ir.Node, context: Context) -> Activation | None:
    """The node's first output; None if it cannot be told because of an unsupported node before it."""
    converter = CONVERTERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if converter is None:
        domain = f" of domain {node.domain}" if node.domain else ""
        raise UnsupportedNodeError(f"the operator{domain} is not supported")
    extra = [output.name for output in node.outputs[1:] if output.uses() or output.is_graph_output()]
    if extra:
        raise UnsupportedNodeError(f"its additional output {extra[0]} is used")
    if not all(context.known(value) for value in node.inputs if value is not None):
        return None
    return converter(node, context)


def _stand_in(node: onnx_ir.Node, context: Context) -> Activation | None:
    """Something of the right shape in place of an unsupported node, so that those after it can be examined too."""
    output = node.outputs[0]
    shape = _static(output.shape)
    return None if shape is None else context.add_input(str(output.name), shape)


def _static(shape: onnx_ir.Shape | None) -> tuple[int, ...] | None:
    """The sizes; None if one of them is unknown."""
    sizes = () if shape is None else tuple(size for size in shape if isinstance(size, int))
    return None if shape is None or len(sizes) < len(shape) else sizes


def _defined(value: onnx_ir.Value) -> bool:
    return value.producer() is not None or value.const_value is not None or value.is_graph_input()


def _title(node: onnx_ir.Node) -> str:
    return f"{node.op_type} {node.name or '(no name), which computes ' + str(node.outputs[0].name)}"


def _output(value: onnx_ir.Value, context: Context, fed: Iterable[str]) -> Port:
    """The port of a model's output, always the result of a node."""
    name = str(value.name)
    if value.const_value is not None:
        raise UnsupportedError(f"output {name} is constant: it does not depend on the model's inputs")
    if not context.known(value):
        raise ModelError(f"output {name} is computed by no node of the model")
    activation = context.lookup(value)
    if activation.value in fed:
        # A model that hands an input through: the copy is a node like any other.
        context.begin(f"copy to {name}", name)
        copy = context.emit(Reshape(context.shapes[activation.value]), [activation.value], role="copy")
        activation = Activation(copy, activation.shape)
    return Port(name, activation.value, activation.shape)
