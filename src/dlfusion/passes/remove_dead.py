"""Removes nodes whose results nobody reads."""

from dlfusion.graph.graph import Graph
from dlfusion.passes.rebuilding import rebuild


def remove_dead(graph: Graph) -> Graph:
    """The graph without nodes that no output of the model depends on."""
    needed = graph.needed_nodes()
    return graph if len(needed) == len(graph.nodes) else rebuild(graph, needed)
