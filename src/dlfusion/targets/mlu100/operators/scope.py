"""What a node becomes: base operators, the tensors between them, and their constants."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from dlfusion.graph.graph import Array, Graph, Node
from dlfusion.ops.operator import Shape

LARGEST = 65504.0
"""The largest finite number of the device, which computes in fp16."""


class NoForm(Exception):  # noqa: N818 - an answer about a node, which `target.check` turns into an error
    """CNML has no form of a node; the text says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation on the device: a value of the graph, or what a node's base operators hand over.

    `value` is the graph's value, or that of the node in which it exists; `role`, empty for a value of the graph, tells
    a node's own tensors apart.
    """

    value: str
    shape: Shape
    role: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """Weights in the layout that CNML reads: a filter of four axes, or one value for each channel."""

    array: Array

    @property
    def is_filter(self) -> bool:
        """Whether it is a filter."""
        return self.array.ndim == 4


@dataclass(frozen=True, slots=True)
class BaseOperator:
    """A call of a function of `cnml_operators.hpp`: its operands in order, then C++ texts of its settings."""

    function: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    constants: tuple[Constant, ...] = ()
    settings: tuple[str, ...] = ()


@dataclass
class Scope:
    """One node on its way to base operators, which collect in `operators`."""

    graph: Graph
    node: Node
    operators: list[BaseOperator] = field(default_factory=list)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The node's activations."""
        return tuple(Tensor(name, self.graph.shapes[name]) for name in self.graph.activations(self.node))

    @property
    def input(self) -> Tensor:
        """The node's first activation."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The node's result."""
        return Tensor(self.node.output, self.graph.shapes[self.node.output])

    @property
    def parameters(self) -> tuple[Array, ...]:
        """The node's constants."""
        return self.graph.parameters(self.node)

    def tensor(self, role: str, shape: Sequence[int]) -> Tensor:
        """A tensor between two base operators; `role` says what it holds, each time another."""
        batch, channels, height, width = shape
        return Tensor(self.node.output, (batch, channels, height, width), role)

    def emit(
        self,
        function: str,
        inputs: Sequence[Tensor],
        output: Tensor,
        constants: Sequence[Array] = (),
        settings: Sequence[str] = (),
    ) -> Tensor:
        """Adds a base operator; returns its output.

        Raises:
            NoForm: a constant is beyond what fp16 can hold.
        """
        for array in constants:
            require_half(float(max(array.max(), array.min(), key=abs)), "one of its constants")
        packed = tuple(Constant(np.ascontiguousarray(array, dtype=np.float32)) for array in constants)
        self.operators.append(BaseOperator(function, tuple(inputs), output, packed, tuple(settings)))
        return output

    def scale(self, source: Tensor, output: Tensor, factor: float, shift: float) -> Tensor:
        """Adds `factor * x + shift`, the same for all channels."""
        channels = source.shape[1]
        constants = (np.full(channels, factor, np.float32), np.full(channels, shift, np.float32))
        return self.emit("scale", [source], output, constants)

    def activation(self, function: str, source: Tensor, output: Tensor) -> Tensor:
        """Adds one of CNML's activation functions, such as `RELU`."""
        return self.emit("activation", [source], output, settings=[f"CNML_ACTIVE_{function}"])


def require_half(value: float, what: str) -> None:
    """Nothing, if fp16 has such a number.

    Raises:
        NoForm: it would be infinite on the device, or is no number.
    """
    if not abs(value) <= LARGEST:
        raise NoForm(f"{what} is {value:g}, but the device's fp16 ends at {LARGEST:g}")


def require_same_elements(before: Shape, after: Shape) -> None:
    """Nothing, if both shapes have as many elements; a generator that breaks this has a bug."""
    if prod(before) != prod(after):
        raise ValueError(f"{before} and {after} have different numbers of elements")
