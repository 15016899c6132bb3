"""The pointwise operators that follow a kernel, as C++: one operation type each, applied in registers.

Used by every kernel file. The C++ side is `epilogue.hpp`; `operations.py` and `operations.hpp` name the operations.
"""

from dataclasses import dataclass

import numpy as np

from dlfusion.graph.graph import Array, Graph, Node
from dlfusion.layers.grouping import LONGEST_EPILOGUE
from dlfusion.layers.layer import Layer
from dlfusion.ops.affine import Affine
from dlfusion.ops.binary import Binary
from dlfusion.ops.operator import Shape
from dlfusion.ops.p_relu import PRelu
from dlfusion.targets.cpu.kernel import Layout
from dlfusion.targets.cpu.kernels.operations import Step, combination, unary, with_number
from dlfusion.targets.cpu.section import Section, initializer


@dataclass(frozen=True, slots=True)
class EpilogueCode:
    """A layer's epilogue in C++.

    `type` is the template argument, such as `Epilogue<Add<Element>, AtLeast>`, of `length` operations; `steps` is the
    braced initializer of the shape structure's `EpilogueSteps steps`, which every shape structure has as its last
    member.
    """

    type: str
    steps: str
    length: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an epilogue is applied: the layout of the output, and how many columns vectors reach past its width."""

    lanes: int
    layout: Layout = Layout.BLOCKED
    overhang: int = 0


def build(layer: Layer, graph: Graph, section: Section, place: Place) -> EpilogueCode | None:
    """The layer's epilogue; the constants it needs are added to `section`, filled up to whole vectors.

    An anchor that is itself pointwise becomes the first operation, applied to its first activation: a kernel for such
    layers only loads, applies the epilogue and stores. Operands are found in `Call::inputs` in the order of
    `layer.reads`; they must have the layout of the output.

    Returns:
        None if the chain is longer than a kernel holds: the layer must then be cut.
    """
    anchor_activations = graph.activations(layer.anchor)
    nodes = layer.nodes if layer.anchor.operator.pointwise else layer.epilogue
    value = anchor_activations[0] if layer.anchor.operator.pointwise else layer.anchor.output
    next_read = 1 if layer.anchor.operator.pointwise else len(anchor_activations)
    steps: list[Step] = []
    for node in nodes:
        operands = _operands(graph, node, value)
        if operands:
            while layer.reads[next_read].value != operands[0]:
                next_read += 1
        steps.extend(_steps(node, graph, value, next_read if operands else -1, section, place))
        next_read += len(operands)
        value = node.output
    if len(steps) > LONGEST_EPILOGUE:
        return None
    texts = [_initializer(step) for step in steps]
    operations = ", ".join(step.operation for step in steps)
    return EpilogueCode(f"Epilogue<{operations}>", initializer(initializer(*texts)), len(steps))


def _initializer(step: Step) -> str:
    strides = {"row_stride": step.row_stride, "channel_stride": step.channel_stride}
    members = {"input": step.input, "constant": step.constant, "a": step.a, "b": step.b}
    return initializer(**members, **(strides if any(strides.values()) else {}))


def _operands(graph: Graph, node: Node, value: str) -> list[str]:
    """The node's activations apart from the running value (at most one; none for x + x)."""
    return [name for name in graph.activations(node) if name != value]


def _steps(node: Node, graph: Graph, value: str, operand: int, section: Section, place: Place) -> list[Step]:
    """The operations that one pointwise node becomes; `operand` is its operand's index, or -1."""
    match node.operator:
        case Affine():
            scale, shift = graph.parameters(node)
            return _affine(scale, shift, section, place)
        case PRelu():
            (slope,) = graph.parameters(node)
            return [Step("Leaky<Constant>", constant=section.append_channels(slope, place.lanes))]
        case Binary() as operator:
            is_second = graph.activations(node)[0] != value
            operation = combination(operator, is_second)
            if operation is not None:
                if graph.parameters(node):
                    return [_with_constant(operation, graph.parameters(node)[0], graph.shapes[value], section, place)]
                return [Step(f"{operation}<{_source(graph, node, value)}>", operand)]
        case operator:
            found = unary(operator)
            if found is not None:
                return found
    raise NotImplementedError(f"the CPU target has no epilogue for {node.operator.label} (node {node.name})")


def _affine(scale: Array, shift: Array, section: Section, place: Place) -> list[Step]:
    """Only the scale or only the shift where the other does nothing."""
    steps = []
    if not (scale == 1).all():
        steps.append(Step("Mul<Constant>", constant=section.append_channels(scale, place.lanes)))
    if shift.any() or not steps:
        steps.append(Step("Add<Constant>", constant=section.append_channels(shift, place.lanes)))
    return steps


def _source(graph: Graph, node: Node, value: str) -> str:
    """What the operation reads beside the running value: its operand's channels and columns, or the first only."""
    operands = _operands(graph, node, value)
    if not operands:
        return "Itself"
    (_, channels, _, width), shape = graph.shapes[operands[0]], graph.shapes[value]
    if width == shape[3]:
        return "Element" if channels == shape[1] else "Shared"
    return "Pooled" if channels == shape[1] else "Single"


def _with_constant(operation: str, values: Array, shape: Shape, section: Section, place: Place) -> Step:
    """The operation with a constant of C x H x W, of which each size may be 1."""
    if values.size == 1:
        return with_number(operation, float(values.reshape(-1)[0]))
    if values.shape == (shape[1], 1, 1):
        return Step(f"{operation}<Constant>", constant=section.append_channels(values, place.lanes))
    lanes = place.lanes if place.layout is Layout.BLOCKED else 1
    channels, height, _ = values.shape
    units = -(-channels // lanes)
    columns = shape[3] + place.overhang

    def fill(memory: Array) -> None:
        """Row, channel unit, column, lane; a single channel is repeated over the lanes."""
        padded = np.zeros((units * lanes, height, columns), np.float32)
        padded[: lanes if channels == 1 else channels, :, : shape[3]] = values
        memory[:] = padded.reshape(units, lanes, height, columns).transpose(2, 0, 3, 1).reshape(-1)

    return Step(
        f"{operation}<Map>",
        constant=section.append_later(height * units * columns * lanes, fill),
        row_stride=0 if height == 1 else units * columns * lanes,
        channel_stride=0 if channels == 1 else columns * lanes,
    )
