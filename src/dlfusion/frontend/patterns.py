"""What finding several nodes that amount to one needs to know of a model."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dlfusion.frontend.model import Model, Node, Value
from dlfusion.frontend.schema import has_form

Producers = Mapping[str, Node]
"""The node that computes a value, by the value's name."""

Find = Callable[[Node, Producers], tuple[Node, ...]]
"""The nodes that take the place of one that ends a pattern; none if it ends none."""


def compose(model: Model, find: Find) -> Model:
    """The model with what `find` finds, and without what nothing needs any more; itself if nothing is found.

    Nodes of another form than the standard demands are part of no pattern: they are reported where they are converted.
    """
    producers = {node.outputs[0].name: node for node in model.nodes if has_form(node, model.opset)}
    found = [find(node, producers) if producers.get(node.outputs[0].name) is node else () for node in model.nodes]
    if not any(found):
        return model
    nodes = [new for node, own in zip(model.nodes, found, strict=True) for new in own or (node,)]
    return replace(model, nodes=tuple(_needed(nodes, model.outputs)))


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


def integers(node: Node, name: str, index: int | None = None) -> tuple[int, ...] | None:
    """The integers of an attribute, or of the constant input that later took its place."""
    attribute = node.attributes.get(name)
    if attribute is not None and attribute.kind == "INTS" and isinstance(attribute.value, tuple):
        return attribute.value
    array = constant(node.inputs[index]) if index is not None and index < len(node.inputs) else None
    return tuple(int(item) for item in array.reshape(-1)) if array is not None and array.dtype.kind == "i" else None


def _needed(nodes: Iterable[Node], outputs: Iterable[Value]) -> list[Node]:
    """The nodes that the outputs depend on."""
    read = {value.name for value in outputs}
    kept = []
    for node in reversed(list(nodes)):
        if any(output.name in read for output in node.outputs):
            kept.append(node)
            read.update(value.name for value in node.inputs if value is not None)
    return kept[::-1]
