"""Joins consecutive limits into one."""

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.clip import Clip
from dlfusion.passes.rebuilding import fused, read_counts, rebuild


def merge_clips(graph: Graph) -> Graph:
    """The graph with one `Clip` in place of several, each of which alone reads the one before."""
    reads = read_counts(graph)
    nodes: list[Node] = []
    position: dict[str, int] = {}
    for node in graph.nodes:
        source = node.inputs[0]
        before = nodes[position[source]] if source in position and reads[source] == 1 else None
        if before is not None and isinstance(node.operator, Clip) and isinstance(before.operator, Clip):
            nodes[position[source]] = fused(before, node, operator=_joined(before.operator, node.operator))
            position[node.output] = position[source]
        else:
            position[node.output] = len(nodes)
            nodes.append(node)
    return rebuild(graph, nodes) if len(nodes) < len(graph.nodes) else graph


def _joined(first: Clip, second: Clip) -> Clip:
    """`first`, whose limits are themselves limited by `second`."""
    low, high = (min(max(limit, second.low), second.high) for limit in (first.low, first.high))
    return Clip(low, high)
