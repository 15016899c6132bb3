"""Reads a model and converts it node by node."""

import contextlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import onnx

from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend.channels_last import convert_in_graph_order
from dlfusion.frontend.context import MOST_ELEMENTS, Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.decomposed import compose
from dlfusion.frontend.model import Model, Node, Value
from dlfusion.frontend.operators import CONVERTERS
from dlfusion.frontend.plain import plain_model
from dlfusion.frontend.reading import Source, parse, require_text
from dlfusion.frontend.schema import check_form
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
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    model = parse(Path(source)) if isinstance(source, str | os.PathLike) else source
    if isinstance(model, onnx.ModelProto):
        require_text(model)
    if isinstance(model, onnx.ModelProto) and not shapes:
        plain = plain_model(model)
        # What is not supported is told below: preparation finds the shapes behind such a node, and so the next ones.
        with contextlib.suppress(UnsupportedError):
            if plain is not None:
                return _graph(plain)
    # Imported here because it takes half a second, and plain models do not need it.
    from dlfusion.frontend.prepared import prepared_model

    return _graph(prepared_model(model, path, shapes or NO_SHAPES))


def _graph(model: Model) -> Graph:
    context = Context(model.opset)
    inputs = []
    for value in model.inputs:
        shape = value.shape or ()
        if math.prod(shape) > MOST_ELEMENTS:
            raise UnsupportedError(
                f"input {value.name} of shape {shape} has more than {MOST_ELEMENTS} elements; use a smaller shape"
            )
        inputs.append(Port(value.name, context.add_input(value.name, shape).value, shape))
    _convert(compose(model).nodes, context)
    fed = {port.value for port in inputs}
    outputs = tuple(_output(value, context, fed) for value in model.outputs)
    return Graph(model.name or "model", tuple(inputs), outputs, tuple(context.nodes), context.constants, context.shapes)


def _convert(nodes: Iterable[Node], context: Context) -> None:
    """Converts all nodes; those that cannot be are collected, so that the user sees them at once."""
    problems: list[str] = []
    for node in nodes:
        missing = [value.name for value in node.inputs if value is not None and not value.is_defined]
        if missing:
            raise ModelError(f"{_title(node)} reads {missing[0]}, which no node or input of the model defines")
        output = node.outputs[0].name
        context.begin(node.name or f"{node.op_type} of {output}", output)
        try:
            results = _converted(node, context)
        except UnsupportedNodeError as error:
            problems.append(f"{_title(node)}: {error}")
            results = _stand_ins(node, context)
        except (InvalidNodeError, ValueError, ArithmeticError) as error:
            # Operators raise ValueError for attributes that no model may have, such as a stride of 0; infinite scales
            # overflow before an operator sees them.
            if not problems:
                raise ModelError(f"{_title(node)} is inconsistent: {error}") from error
            results = _stand_ins(node, context)  # what it reads may have been made up for an unsupported node
        for value, activation in zip(node.outputs, results, strict=False):
            if activation is not None:
                context.bind(value.name, activation)
    if problems:
        count = "1 node is" if len(problems) == 1 else f"{len(problems)} nodes are"
        listed = "\n  ".join([f"{count} not supported:", *problems])
        raise UnsupportedError(f"{listed}\n`dlfusion ops` lists what is; change the model, or export it without these.")


def _converted(node: Node, context: Context) -> Sequence[Activation | None]:
    """The node's outputs, without the last ones if they are not read; none behind a node that is not supported."""
    converter = CONVERTERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if converter is None:
        domain = f" of domain {node.domain}" if node.domain else ""
        raise UnsupportedNodeError(f"the operator{domain} is not supported")
    check_form(node, context.opset)
    inputs = [value for value in node.inputs if value is not None]
    if not all(context.known(value) for value in inputs):
        return ()
    if inputs and all(value.constant is not None for value in inputs):
        raise UnsupportedNodeError("it reads nothing but constants, and could not be computed on import")
    found = convert_in_graph_order(converter, node, context) or converter(node, context)
    results = (found,) if isinstance(found, Activation) else found
    for value in node.outputs[len(results) :]:
        if value.is_read:
            raise UnsupportedNodeError(f"its additional output {value.name} is used")
    return results


def _stand_ins(node: Node, context: Context) -> Sequence[Activation | None]:
    """Something of the right shapes in place of an unsupported node, so that those after it can be examined too."""
    return [
        context.add_input(output.name, output.shape) if output.shape is not None and output.is_read else None
        for output in node.outputs
    ]


def _title(node: Node) -> str:
    return f"{node.op_type} {node.name or '(no name), which computes ' + str(node.outputs[0].name)}"


def _output(value: Value, context: Context, fed: Iterable[str]) -> Port:
    """The port of a model's output, always the result of a node."""
    name = value.name
    if value.constant is not None:
        raise UnsupportedError(f"output {name} is constant: it does not depend on the model's inputs")
    if not context.known(value):
        raise ModelError(f"output {name} is computed by no node of the model")
    context.begin(f"copy to {name}", name)
    activation = context.plain(context.lookup(value))
    if activation.value in fed:
        # A model that hands an input through: the copy is a node like any other.
        copy = context.emit(Reshape(context.shapes[activation.value]), [activation.value], role="copy")
        activation = Activation(copy, activation.shape)
    return Port(name, activation.value, activation.shape)
