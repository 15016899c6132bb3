"""Turns pools whose one window is the whole map into global pools."""

import dataclasses

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.operator import Operator
from dlfusion.passes.rebuilding import rebuild


def globalize_pools(graph: Graph) -> Graph:
    """The graph with a global pool in place of every pool that has one window, in which each element counts once.

    Older models end in such a pool (`AveragePool` 7x7 of a 7 x 7 map). Of a map of 1 x 1 a pool only copies, so that
    stays: it streams, which a global pool does not.
    """
    operators = [_global(graph, node) for node in graph.nodes]
    if not any(operators):
        return graph
    return rebuild(
        graph,
        [
            node if operator is None else dataclasses.replace(node, operator=operator)
            for node, operator in zip(graph.nodes, operators, strict=True)
        ],
    )


def _global(graph: Graph, node: Node) -> Operator | None:
    """The global pool that computes the same as the node, if there is one."""
    pool = node.operator
    if not isinstance(pool, AveragePool | MaxPool | LpPool):
        return None
    (shape,) = graph.activation_shapes(node)
    height, width = shape[2:]
    (rows,), (columns,) = pool.row_windows([shape]), pool.column_windows([shape])
    covers = rows.first(0) <= 0 and rows.end(1) >= height and columns.first(0) <= 0 and columns.end(1) >= width
    if not covers or (height, width) == (1, 1) or graph.shapes[node.output][2:] != (1, 1):
        return None
    if not isinstance(pool, AveragePool):
        # A dilated window skips elements. Padding is minus infinity and never the maximum, or zero and adds nothing.
        if pool.dilations != (1, 1):
            return None
        return GlobalMaxPool() if isinstance(pool, MaxPool) else GlobalLpPool(pool.p)
    # The divisor is the number of elements unless padding counts too, or the window skips elements.
    counts = (pool.row_counts(height), pool.column_counts(width))
    return GlobalAveragePool() if counts == ((height,), (width,)) else None
