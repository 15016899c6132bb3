"""Lets a fully connected layer read a map in place instead of its flattened copy."""

import dataclasses

from dlfusion.graph.graph import Array, Graph
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.reshape import Reshape
from dlfusion.passes.rebuilding import new_name, rebuild
from dlfusion.passes.remove_dead import remove_dead


def flatten_into_gemm(graph: Graph) -> Graph:
    """The graph with every `Gemm` of a `Reshape` that keeps the batch reading what the reshape reads.

    The elements keep their order, so the weights only get the map's axes.
    """
    sources = {node.output: node.inputs[0] for node in graph.nodes if isinstance(node.operator, Reshape)}
    constants: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        if isinstance(node.operator, Gemm) and node.inputs[0] in sources:
            source = sources[node.inputs[0]]
            shape = graph.shapes[source]
            weights, _ = graph.parameters(node)
            if shape[0] == graph.shapes[node.inputs[0]][0]:
                name = new_name(graph, f"{node.output}.weights", constants)
                constants[name] = weights.reshape(weights.shape[0], *shape[1:])
                node = dataclasses.replace(node, inputs=(source, name, node.inputs[2]))
        nodes.append(node)
    return remove_dead(rebuild(graph, nodes, constants=constants)) if constants else graph
