"""Builds graphs node by node, inferring every shape."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dlfusion.graph.graph import Array, Graph, Node, Port
from dlfusion.ops.operator import Operator, Shape


class GraphBuilder:
    """Collects inputs, nodes and outputs in topological order; `build` returns the graph.

    Values and constants share one name space: a node's output bears the node's name unless another is asked for, its
    constants the output's name with an index.

    Every method raises ValueError if a name is taken or unknown, or if shapes do not fit; a node's failure names it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []
        self._nodes: list[Node] = []
        self._constants: dict[str, Array] = {}
        self._shapes: dict[str, Shape] = {}

    def shape(self, value: str) -> Shape:
        """The N x C x H x W shape of an activation added before."""
        if value not in self._shapes:
            raise ValueError(f"{self._name} has no value {value!r} yet")
        return self._shapes[value]

    def input(self, value: str, shape: Shape, array_shape: tuple[int, ...] | None = None) -> str:
        """Add an input of the model and return its value's name.

        Args:
            value: name of the value and of the port.
            shape: N x C x H x W inside the graph.
            array_shape: the shape that users feed, if it differs.
        """
        self._require_free(value)
        if min(shape) < 1:
            raise ValueError(f"input {value}: it is {shape}, but every size must be at least 1")
        self._shapes[value] = shape
        self._inputs.append(Port(value, value, shape if array_shape is None else array_shape))
        return value

    def constant(self, name: str, array: ArrayLike) -> str:
        """Add a constant that several nodes may name, as float32, and return its name."""
        self._require_free(name)
        # Unlike ascontiguousarray, asarray keeps rank 0, which then fails with its true shape.
        self._constants[name] = np.asarray(array, dtype=np.float32, order="C")
        return name

    def node(
        self,
        operator: Operator,
        inputs: Sequence[str],
        parameters: Sequence[ArrayLike | str] = (),
        *,
        name: str | None = None,
        output: str | None = None,
        origins: tuple[str, ...] = (),
    ) -> str:
        """Add an operator and return its output's name.

        Args:
            operator: what the node computes.
            inputs: names of its activations, in the operator's order.
            parameters: its constants, in the operator's order: arrays, or names of constants added before.
            name: of the node; by default the operator's class with a running number.
            output: of its result; by default the node's name.
            origins: the ONNX nodes it came from.
        """
        name = name or f"{type(operator).__name__}_{len(self._nodes)}"
        output = output or name
        self._require_free(output)
        arrays = [self._array(parameter) for parameter in parameters]
        try:
            shape = operator.output_shape([self.shape(value) for value in inputs], [array.shape for array in arrays])
        except ValueError as error:
            raise ValueError(f"node {name}: {error}") from error
        constants = [
            parameter if isinstance(parameter, str) else self.constant(f"{output}.{index}", array)
            for index, (parameter, array) in enumerate(zip(parameters, arrays, strict=True))
        ]
        self._shapes[output] = shape
        self._nodes.append(Node(name, operator, (*inputs, *constants), output, origins))
        return output

    def output(self, value: str, name: str | None = None, array_shape: tuple[int, ...] | None = None) -> None:
        """Mark a value as an output of the model.

        Args:
            value: an activation added before.
            name: of the port; by default the value's name.
            array_shape: the shape that users get, if it differs from N x C x H x W.
        """
        shape = self.shape(value)
        self._outputs.append(Port(name or value, value, shape if array_shape is None else array_shape))

    def build(self) -> Graph:
        """The graph.

        Raises:
            ValueError: no output was marked.
        """
        if not self._outputs:
            raise ValueError(f"{self._name} has no outputs")
        return Graph(
            self._name,
            tuple(self._inputs),
            tuple(self._outputs),
            tuple(self._nodes),
            self._constants,
            self._shapes,
        )

    def _array(self, parameter: ArrayLike | str) -> Array:
        if not isinstance(parameter, str):
            return np.asarray(parameter, dtype=np.float32)
        if parameter not in self._constants:
            raise ValueError(f"{self._name} has no constant {parameter!r}")
        return self._constants[parameter]

    def _require_free(self, name: str) -> None:
        if name in self._shapes or name in self._constants:
            raise ValueError(f"{self._name} already has a value {name!r}")
