"""Lets operators of two operands read one that is small in place of its copies all over the map."""

import dataclasses

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.binary import Binary
from dlfusion.ops.resize import Resize, Taps
from dlfusion.passes.rebuilding import rebuild
from dlfusion.passes.remove_dead import remove_dead


def drop_expansions(graph: Graph) -> Graph:
    """The graph with every `Binary` that reads a map's only row, column or element, repeated, reading that itself.

    Older exports of squeeze-and-excitation expand the factors first, as do broadcasts of two operands to a third shape.
    """
    originals = {node.output: node.inputs[0] for node in graph.nodes if _is_expansion(graph, node)}
    nodes = [_with_original(graph, node, originals) for node in graph.nodes]
    if nodes == list(graph.nodes):
        return graph
    return remove_dead(rebuild(graph, nodes))


def _is_expansion(graph: Graph, node: Node) -> bool:
    """Whether the node repeats what has size 1 along an axis of the map, or both, and leaves the other as it is."""
    if not isinstance(node.operator, Resize):
        return False
    height, width = graph.shapes[node.inputs[0]][2:]
    return (height == 1 or _keeps(node.operator.row_taps(height), height)) and (
        width == 1 or _keeps(node.operator.column_taps(width), width)
    )


def _keeps(taps: Taps, size: int) -> bool:
    return taps.lower == tuple(range(size)) and taps.weights == ((1.0,),) * size


def _with_original(graph: Graph, node: Node, originals: dict[str, str]) -> Node:
    if not isinstance(node.operator, Binary):
        return node
    first, second = node.inputs
    if second in originals:
        return dataclasses.replace(node, inputs=(first, originals[second]))
    if first in originals and graph.shapes.get(second) == graph.shapes[node.output]:
        return dataclasses.replace(node, operator=node.operator.swapped(), inputs=(second, originals[first]))
    return node
