"""What finding several nodes that amount to one needs to know of a model."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from dlfusion.frontend.model import Node, Value

Producers = Mapping[str, Node]
"""The node that computes a value, by the value's name."""


def made(value: Value | None, kind: str, producers: Producers) -> Node | None:
    """The node of this kind that computes the value."""
    node = None if value is None else producers.get(value.name)
    return node if node is not None and node.op_type == kind else None


def constant(value: Value | None) -> NDArray[np.generic] | None:
    """The elements of the value, if it is constant; None also for damaged ones, which are reported when converted."""
    if value is None or value.constant is None:
        return None
    try:
        return value.constant()
    except ValueError:
        return None


def number(value: Value | None) -> float | None:
    """The constant number that the value is."""
    array = constant(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 and array.dtype.kind in "fiu" else None


def integers(value: Value | None) -> tuple[int, ...] | None:
    """The constant integers that the value holds."""
    array = constant(value)
    return tuple(int(item) for item in array.reshape(-1)) if array is not None and array.dtype.kind == "i" else None


def needed(nodes: Iterable[Node], outputs: Iterable[Value]) -> list[Node]:
    """The nodes that the outputs depend on."""
    read = {value.name for value in outputs}
    kept = []
    for node in reversed(list(nodes)):
        if any(output.name in read for output in node.outputs):
            kept.append(node)
            read.update(value.name for value in node.inputs if value is not None)
    return kept[::-1]
