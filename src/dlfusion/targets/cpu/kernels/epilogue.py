"""The pointwise operators that follow a kernel, as C++: one operation type each, applied in registers.

Used by every kernel file. The C++ side is `epilogue.hpp`.
"""

import math
from dataclasses import dataclass

from dlfusion.graph.graph import Graph, Node
from dlfusion.layers.layer import Layer
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.mul import Mul
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.tanh import Tanh
from dlfusion.targets.cpu.section import Section, initializer

MAXIMUM_STEPS = 12
"""How many operations one epilogue holds: `EPILOGUE_STEPS` in `epilogue.hpp`."""


@dataclass(frozen=True, slots=True)
class EpilogueCode:
    """A layer's epilogue in C++.

    `type` is the template argument, such as `Epilogue<Add, AtLeast>`; `steps` is the braced initializer of the shape
    structure's `EpilogueSteps steps`, which every shape structure has as its last member.
    """

    type: str
    steps: str


@dataclass(frozen=True, slots=True)
class _Step:
    operation: str
    input: int = -1
    constant: int = -1
    a: float = 0.0
    b: float = 0.0


def build(layer: Layer, graph: Graph, section: Section, lanes: int) -> EpilogueCode | None:
    """The layer's epilogue; the constants it needs are added to `section`, filled up to whole vectors of `lanes`.

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
    steps: list[_Step] = []
    for node in nodes:
        operands = _operands(graph, node, value)
        if operands:
            while layer.reads[next_read].value != operands[0]:
                next_read += 1
        steps.extend(_steps(node, graph, value, next_read if operands else -1, section, lanes))
        next_read += len(operands)
        value = node.output
    if len(steps) > MAXIMUM_STEPS:
        return None
    texts = [initializer(input=step.input, constant=step.constant, a=step.a, b=step.b) for step in steps]
    return EpilogueCode(f"Epilogue<{', '.join(step.operation for step in steps)}>", initializer(initializer(*texts)))


def _operands(graph: Graph, node: Node, value: str) -> list[str]:
    """The node's activations apart from the running value (at most one; none for x + x)."""
    return [name for name in graph.activations(node) if name != value]


def _steps(node: Node, graph: Graph, value: str, operand: int, section: Section, lanes: int) -> list[_Step]:
    """The operations that one pointwise node becomes; `operand` is its operand's index, or -1."""
    match node.operator:
        case Add():
            return [_Step("Add", operand) if operand >= 0 else _Step("Scale", a=2.0)]
        case Mul():
            return [_mul(node, graph, value, operand)]
        case Affine():
            scale, shift = graph.parameters(node)
            return [
                _Step("ScaleChannel", constant=section.append_channels(scale, lanes)),
                _Step("AddChannel", constant=section.append_channels(shift, lanes)),
            ]
        case PRelu():
            (slope,) = graph.parameters(node)
            return [_Step("PRelu", constant=section.append_channels(slope, lanes))]
        case Clip(low=low, high=high):
            return _clip(low, high)
        case LeakyRelu(alpha=alpha):
            return [_Step("LeakyRelu", a=alpha)]
        case HardSigmoid(alpha=alpha, beta=beta):
            return [_Step("HardSigmoid", a=alpha, b=beta)]
        case HardSwish():
            return [_Step("HardSwish")]
        case Sigmoid():
            return [_Step("Sigmoid")]
        case Tanh():
            return [_Step("Tanh")]
        case operator:
            raise NotImplementedError(f"the CPU target has no epilogue for {operator.label} (node {node.name})")


def _mul(node: Node, graph: Graph, value: str, operand: int) -> _Step:
    if operand < 0:
        return _Step("Square")
    (name,) = _operands(graph, node, value)
    if graph.shapes[name] == graph.shapes[node.output]:
        return _Step("Mul", operand)
    return _Step("MulChannel", operand)


def _clip(low: float, high: float) -> list[_Step]:
    """One comparison where one bound is infinite."""
    if math.isinf(low) and math.isinf(high):
        return []
    if math.isinf(high):
        return [_Step("AtLeast", a=low)]
    if math.isinf(low):
        return [_Step("AtMost", a=high)]
    return [_Step("Clip", a=low, b=high)]
