"""Runs a graph with the operators' NumPy references: what every compiled program is checked against."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from dlfusion.errors import InputError
from dlfusion.graph.graph import Array, Graph


def evaluate(graph: Graph, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs of the model, in the order and shapes of its ports; intermediate values are freed after last use.

    Args:
        graph: what to run.
        inputs: one float32 array for each port, in order, of the port's `array_shape`.

    Raises:
        InputError: number, shape or type of the arrays does not fit the graph's inputs.
    """
    wanted = {port.value for port in graph.outputs}
    kept = {port.value: fed for port, fed in zip(graph.inputs, _fed(graph, inputs), strict=True)}
    kept |= {value: array for value, array in evaluate_all(graph, inputs) if value in wanted}
    return tuple(kept[port.value].reshape(port.array_shape) for port in graph.outputs)


def evaluate_all(graph: Graph, inputs: Sequence[Array]) -> Iterator[tuple[str, Array]]:
    """Each node's output as (name, N x C x H x W array), in the order of the nodes.

    A value is kept only until its last reader ran, so a caller that drops the arrays needs little memory.

    Raises:
        InputError: number, shape or type of the arrays does not fit the graph's inputs.
    """
    alive = {port.value: fed for port, fed in zip(graph.inputs, _fed(graph, inputs), strict=True)}
    reads_left = Counter(value for node in graph.nodes for value in graph.activations(node))
    for node in graph.nodes:
        activations = graph.activations(node)
        result = node.operator.reference([alive[value] for value in activations], graph.parameters(node))
        for value in activations:
            reads_left[value] -= 1
            if reads_left[value] == 0:
                del alive[value]
        if reads_left[node.output]:
            alive[node.output] = result
        yield node.output, result


def _fed(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The arrays under the graph's N x C x H x W shapes."""
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{graph.name} has {len(graph.inputs)} inputs, but got {len(inputs)} arrays")
    for port, array in zip(graph.inputs, inputs, strict=True):
        if array.shape != port.array_shape or array.dtype != np.float32:
            raise InputError(
                f"input {port.name!r} needs float32 of shape {port.array_shape}, but got {array.dtype} of {array.shape}"
            )
    return [array.reshape(graph.shapes[port.value]) for port, array in zip(graph.inputs, inputs, strict=True)]
