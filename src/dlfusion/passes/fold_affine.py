"""Folds a scale and shift per channel into the weights of the operator before it: batch normalization costs nothing."""

from dlfusion.graph.graph import Array, Graph, Node
from dlfusion.ops.affine import Affine
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.operator import Operator
from dlfusion.passes.rebuilding import fused, new_name, read_counts, rebuild


def fold_affine(graph: Graph) -> Graph:
    """The graph without an `Affine` that alone reads a convolution, fully connected layer or another `Affine`."""
    reads = read_counts(graph)
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    position: dict[str, int] = {}
    parameters: dict[str, tuple[Array, Array]] = {}
    for node in graph.nodes:
        source = node.inputs[0]
        before = nodes[position[source]] if source in position and reads[source] == 1 else None
        if isinstance(node.operator, Affine) and before is not None and _can_absorb(before.operator):
            scale, shift = graph.parameters(node)
            weights, bias = parameters.pop(source) if source in parameters else _two(graph, before)
            parameters[node.output] = (_scaled(before.operator, weights, scale), bias * scale + shift)
            nodes[position[source]] = fused(before, node)
            position[node.output] = position[source]
        else:
            position[node.output] = len(nodes)
            nodes.append(node)
    if not parameters:
        return graph
    for output, arrays in parameters.items():
        node = nodes[position[output]]
        names = []
        for role, array in zip(("weights", "bias"), arrays, strict=True):
            names.append(new_name(graph, f"{output}.{role}", constants))
            constants[names[-1]] = array
        nodes[position[output]] = fused(node, node, inputs=(node.inputs[0], *names))
    return rebuild(graph, nodes, constants=constants)


def _can_absorb(operator: Operator) -> bool:
    return isinstance(operator, Conv | ConvTranspose | Gemm | Affine)


def _two(graph: Graph, node: Node) -> tuple[Array, Array]:
    weights, bias = graph.parameters(node)
    return weights, bias


def _scaled(operator: Operator, weights: Array, scale: Array) -> Array:
    """The weights whose results are `scale` times as large, for each output channel."""
    if isinstance(operator, ConvTranspose):
        # C x O/groups x KH x KW: each group of input channels has its own output channels.
        channels, outputs, *kernel = weights.shape
        grouped = weights.reshape(operator.groups, channels // operator.groups, outputs, *kernel)
        result: Array = grouped * scale.reshape(operator.groups, 1, outputs, 1, 1)
        return result.reshape(weights.shape)
    return weights * scale.reshape(-1, *(1,) * (weights.ndim - 1))
