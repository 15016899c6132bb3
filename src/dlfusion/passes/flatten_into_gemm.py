"""Lets a fully connected layer read a map in place instead of its flattened or transposed copy."""

import dataclasses

import numpy as np

from dlfusion.graph.graph import Array, Graph
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.operator import Operator
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.transpose import Transpose
from dlfusion.passes.rebuilding import new_name, rebuild
from dlfusion.passes.remove_dead import remove_dead


def flatten_into_gemm(graph: Graph) -> Graph:
    """The graph with every `Gemm` of a `Reshape` that keeps the batch, or of a `Transpose`, reading what that reads.

    The weights get the axes of the map that is read.
    """
    sources = {node.output: node for node in graph.nodes if isinstance(node.operator, Reshape | Transpose)}
    constants: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        if isinstance(node.operator, Gemm) and node.inputs[0] in sources:
            mover = sources[node.inputs[0]]
            shape = graph.shapes[mover.inputs[0]]
            weights, _ = graph.parameters(node)
            if shape[0] == graph.shapes[node.inputs[0]][0]:
                name = new_name(graph, f"{node.output}.weights", constants)
                constants[name] = _moved(mover.operator, weights, shape)
                node = dataclasses.replace(node, inputs=(mover.inputs[0], name, node.inputs[2]))
        nodes.append(node)
    return remove_dead(rebuild(graph, nodes, constants=constants)) if constants else graph


def _moved(operator: Operator, weights: Array, shape: tuple[int, ...]) -> Array:
    """The weights for what the operator reads, a map of `shape`."""
    if isinstance(operator, Transpose):
        weights = weights.transpose(0, *(operator.order.index(axis) + 1 for axis in (1, 2, 3)))
    return np.ascontiguousarray(weights).reshape(weights.shape[0], *shape[1:])
