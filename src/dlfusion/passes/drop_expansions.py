"""Lets products read a factor for each channel in place of its copies all over the map."""

import dataclasses

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.mul import Mul
from dlfusion.ops.resize import Resize
from dlfusion.passes.rebuilding import rebuild
from dlfusion.passes.remove_dead import remove_dead


def drop_expansions(graph: Graph) -> Graph:
    """The graph with every `Mul` by a resized map of one element reading that element.

    Older exports of squeeze-and-excitation expand the factors first.
    """
    factors = {
        node.output: node.inputs[0]
        for node in graph.nodes
        if isinstance(node.operator, Resize) and graph.shapes[node.inputs[0]][2:] == (1, 1)
    }
    nodes = [_with_factor(node, factors) for node in graph.nodes]
    if nodes == list(graph.nodes):
        return graph
    return remove_dead(rebuild(graph, nodes))


def _with_factor(node: Node, factors: dict[str, str]) -> Node:
    if not isinstance(node.operator, Mul):
        return node
    for expanded, other in (node.inputs, node.inputs[::-1]):
        if expanded in factors:
            return dataclasses.replace(node, inputs=(other, factors[expanded]))
    return node
