"""Gives inputs of the model the axes that they are read with."""

import dataclasses
from collections.abc import Mapping

from dlfusion.graph.graph import Graph
from dlfusion.ops.operator import Shape
from dlfusion.ops.reshape import Reshape


def reshape_inputs(graph: Graph) -> Graph:
    """The graph with other axes for inputs that are read only by reshapes to the same shape, which then change nothing.

    The user's array is the same bytes under either shape.
    """
    found = {port.value: shape for port in graph.inputs if (shape := _only_shape(graph, port.value)) is not None}
    shapes: Mapping[str, Shape] = {**graph.shapes, **found}
    return dataclasses.replace(graph, shapes=shapes) if shapes != graph.shapes else graph


def _only_shape(graph: Graph, value: str) -> Shape | None:
    """The shape that all readers of a value reshape it to; None if there is none."""
    readers = [node.operator for node in graph.nodes if value in node.inputs]
    shapes = {reader.shape if isinstance(reader, Reshape) else None for reader in readers}
    return shapes.pop() if len(shapes) == 1 else None
