"""Removes nodes whose results nobody reads."""

from dlfusion.graph.graph import Graph
from dlfusion.passes.rebuilding import rebuild


def remove_dead(graph: Graph) -> Graph:
    """The graph without nodes that no output of the model depends on."""
    needed = {port.value for port in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return graph if len(kept) == len(graph.nodes) else rebuild(graph, kept[::-1])
