"""The model after import: static shapes, constants folded, one output per node, float32.

Inside the graph every activation has four axes, N x C x H x W. Arrays of other ranks at the model's border are the same
bytes with other axes (`Port.array_shape`): N x C becomes N x C x 1 x 1, N x C x L becomes N x C x 1 x L where windows
move over it, else N x C x L x 1.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.operator import Operator, Shape

Array = NDArray[np.float32]

FLOAT_BYTES = 4
"""Size of an element: everything is float32."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model: `value` is the graph's value, `array_shape` the shape the user sees."""

    name: str
    value: str
    array_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of the graph.

    `inputs` names activations first, then constants, in the operator's order. `origins` names the ONNX nodes it came
    from, for messages and comments in generated code.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    output: str
    origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A model: nodes in topological order, constants by name, the N x C x H x W shape of every activation.

    A constant keeps the shape its operator states (a convolution's weights are O x C/groups x KH x KW).
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, Shape]

    def __post_init__(self) -> None:
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))
        object.__setattr__(self, "shapes", MappingProxyType(dict(self.shapes)))

    def activations(self, node: Node) -> tuple[str, ...]:
        """The node's inputs that are computed or fed, in order."""
        return tuple(name for name in node.inputs if name not in self.constants)

    def parameters(self, node: Node) -> tuple[Array, ...]:
        """The node's constant inputs, in order."""
        return tuple(self.constants[name] for name in node.inputs if name in self.constants)

    def activation_shapes(self, node: Node) -> tuple[Shape, ...]:
        """The N x C x H x W shapes of the node's activations, in order."""
        return tuple(self.shapes[name] for name in self.activations(node))

    def needed_nodes(self) -> tuple[Node, ...]:
        """The nodes that some output of the model depends on, in order."""
        wanted = {port.value for port in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if node.output in wanted:
                wanted.update(node.inputs)
                kept.append(node)
        return tuple(reversed(kept))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of structure, shapes and constants: what a plan is tied to. Names of nodes do not count."""
        state = hashlib.sha256()
        for port in (*self.inputs, *self.outputs):
            state.update(repr((port.value, port.array_shape)).encode())
        for node in self.nodes:
            state.update(repr((node.operator, node.inputs, node.output, self.shapes[node.output])).encode())
            for array in self.parameters(node):
                state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()
