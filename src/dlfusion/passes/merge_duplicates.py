"""Computes once what several nodes compute alike."""

import numpy as np

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.operator import Operator
from dlfusion.passes.rebuilding import rebuild


def merge_duplicates(graph: Graph) -> Graph:
    """The graph with one node for all that have equal operators, activations and constants."""
    renamed: dict[str, str] = {}
    seen: dict[tuple[Operator, tuple[str, ...]], list[Node]] = {}
    kept = []
    for node in graph.nodes:
        activations = tuple(renamed.get(value, value) for value in graph.activations(node))
        alike = seen.setdefault((node.operator, activations), [])
        # Weights are compared only where everything else is equal: reading all of them takes long.
        twin = next((other for other in alike if _same_parameters(graph, node, other)), None)
        if twin is None:
            alike.append(node)
            kept.append(node)
        else:
            renamed[node.output] = twin.output
    return rebuild(graph, kept, renamed=renamed) if renamed else graph


def _same_parameters(graph: Graph, first: Node, second: Node) -> bool:
    pairs = zip(graph.parameters(first), graph.parameters(second), strict=True)
    return all(one is other or np.array_equal(one, other) for one, other in pairs)
