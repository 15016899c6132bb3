"""What rewrites share: finding readers, and a graph again from a changed list of nodes."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from dlfusion.graph.graph import Array, Graph, Node


def read_counts(graph: Graph) -> Counter[str]:
    """How often each value is read by nodes or is an output of the model."""
    counts = Counter(value for node in graph.nodes for value in node.inputs)
    counts.update(port.value for port in graph.outputs)
    return counts


def fused(first: Node, second: Node, **changes: object) -> Node:
    """`first` with the result and origins of `second`, which read it, and the given fields changed."""
    merged = dataclasses.replace(first, output=second.output, origins=_joined(first.origins, second.origins))
    return dataclasses.replace(merged, **changes)  # type: ignore[arg-type]


def rebuild(
    graph: Graph,
    nodes: Sequence[Node],
    *,
    renamed: Mapping[str, str] | None = None,
    constants: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph with other nodes, without the constants and shapes that nothing names any more.

    Args:
        graph: before the change.
        nodes: after it, in topological order.
        renamed: values that are gone, with those that take their place, for readers and outputs of the model.
        constants: new ones, in addition to those of the graph.
    """
    names = dict(renamed or {})

    def current(value: str) -> str:
        while value in names:
            value = names[value]
        return value

    kept = tuple(dataclasses.replace(node, inputs=tuple(current(value) for value in node.inputs)) for node in nodes)
    outputs = tuple(dataclasses.replace(port, value=current(port.value)) for port in graph.outputs)
    read = {value for node in kept for value in node.inputs}
    live = {port.value for port in graph.inputs} | {node.output for node in kept}
    everything = {**graph.constants, **(constants or {})}
    return dataclasses.replace(
        graph,
        outputs=outputs,
        nodes=kept,
        constants={name: array for name, array in everything.items() if name in read},
        shapes={value: shape for value, shape in graph.shapes.items() if value in live},
    )


def new_name(graph: Graph, wanted: str, taken: Mapping[str, object]) -> str:
    """A name for a constant that neither the graph nor `taken` has."""
    name, number = wanted, 1
    while name in graph.constants or name in graph.shapes or name in taken:
        number += 1
        name = f"{wanted}.{number}"
    return name


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
