"""The order in which nodes run: depth first, holding little memory alive, always the same for the same graph."""

from collections.abc import Iterable
from math import prod

from dlfusion.graph.graph import FLOAT_BYTES, Graph, Node


def ordered_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes that the graph's outputs need, in the order they run.

    Each node follows the value that was made last, as far as that is possible, so that a branch is finished before the
    next one starts. Where several nodes read that value, two orders are tried over the whole graph (small results
    first, large results first); the one with the lower peak of live activation bytes is taken.
    """
    needed = graph.needed_nodes()
    small_first = _walk(graph, needed, sign=1)
    large_first = _walk(graph, needed, sign=-1)
    return min((small_first, large_first), key=lambda order: _live_bytes(graph, order))


def _walk(graph: Graph, nodes: tuple[Node, ...], sign: int) -> tuple[Node, ...]:
    """Depth-first order; among nodes that read the newest value, by `sign` x the bytes that running one adds."""
    position = {node.output: index for index, node in enumerate(nodes)}
    readers = _readers(graph, nodes)
    waiting = {node.output: len(set(graph.activations(node))) for node in nodes}
    unread = {value: len(indices) for value, indices in readers.items()}
    kept_alive = {port.value for port in graph.outputs}
    newest_last: list[str] = []
    order: list[Node] = []

    def added_bytes(node: Node) -> int:
        freed = [v for v in set(graph.activations(node)) if unread[v] == 1 and v not in kept_alive]
        return _bytes(graph, (node.output,)) - _bytes(graph, freed)

    def make(value: str) -> None:
        newest_last.append(value)
        for index in readers.get(value, ()):
            waiting[nodes[index].output] -= 1

    for port in reversed(graph.inputs):
        make(port.value)
    while len(order) < len(nodes):
        ready: list[Node] = []
        for value in reversed(newest_last):
            ready = [nodes[i] for i in readers.get(value, ()) if waiting[nodes[i].output] == 0]
            if ready:
                break
        node = min(ready, key=lambda candidate: (sign * added_bytes(candidate), position[candidate.output]))
        waiting[node.output] = -1
        for value in set(graph.activations(node)):
            unread[value] -= 1
            if unread[value] == 0:
                newest_last.remove(value)
        order.append(node)
        make(node.output)
    return tuple(order)


def _readers(graph: Graph, nodes: Iterable[Node]) -> dict[str, list[int]]:
    """For each activation, the positions of the nodes that read it."""
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for value in dict.fromkeys(graph.activations(node)):
            readers.setdefault(value, []).append(index)
    return readers


def _bytes(graph: Graph, values: Iterable[str]) -> int:
    """Bytes of float32 activations."""
    return sum(prod(graph.shapes[value]) * FLOAT_BYTES for value in values)


def _live_bytes(graph: Graph, order: tuple[Node, ...]) -> tuple[int, int]:
    """The peak of live activation bytes, and their sum over all nodes, when nodes run one by one."""
    last_use = {value: indices[-1] for value, indices in _readers(graph, order).items()}
    last_use.update({port.value: len(order) for port in graph.outputs})
    dies_after: dict[int, list[str]] = {}
    for value, index in last_use.items():
        dies_after.setdefault(index, []).append(value)
    live = _bytes(graph, {port.value for port in graph.inputs if port.value in last_use})
    peak = total = 0
    for index, node in enumerate(order):
        live += _bytes(graph, (node.output,))
        peak = max(peak, live)
        total += live
        live -= _bytes(graph, dies_after.get(index, ()))
    return peak, total
