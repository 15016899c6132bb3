"""What converters of single ONNX nodes share: the graph under construction and access to a node's inputs.

The graph's activations have four axes, ONNX's any number. An `Activation` therefore is a value of the graph seen under
an ONNX shape: reshaping costs nothing until an operator needs other axes than the value has.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.frontend.model import Node, Value
from dlfusion.graph import graph
from dlfusion.graph.graph import Array
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.transpose import Transpose

MOST_ELEMENTS = 2**31 - 1
"""Of an activation: kernels count rows, columns and channels in 32 bits."""

MOST_NUMBERS = 1 << 16
"""In a constant that tells axes, sizes or parts: a Split may cut single channels, but nothing has more of these."""

Axes = Callable[[Sequence[int]], Shape]
"""How an ONNX shape becomes one of the graph: `four_axes`, or `map_axes` for lines that lie along the width."""

Parameters = Sequence[tuple[str, Array]]
"""Role, such as `weights`, and array of each constant of a node."""


class UnsupportedNodeError(Exception):
    """A node cannot be converted; the message says why. Caught by the importer, which lists all such nodes."""


class InvalidNodeError(Exception):
    """A node contradicts ONNX's rules; the message says how. Caught by the importer, which adds the node's name."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A value of the graph under an ONNX shape: the same elements in the same order, unless `channels_last`.

    With `channels_last` the ONNX axes are N, those of the map, and C, while the value's are N, C and those of the map:
    a Transpose that has not been carried out, because what reads it may not need it.
    """

    value: str
    shape: tuple[int, ...]
    channels_last: bool = False

    @property
    def channels_first(self) -> "Activation":
        """The same value with the axes in the order of the graph."""
        if not self.channels_last:
            return self
        return Activation(self.value, (self.shape[0], self.shape[-1], *self.shape[1:-1]))


Outputs = Activation | Sequence[Activation | None]
"""What the converter of a node returns: its first output, or all of them with None in place of what nothing reads."""


def four_axes(shape: Sequence[int]) -> Shape:
    """The N x C x H x W shape of an ONNX shape: missing axes at the end have size 1, surplus ones are joined."""
    sizes = (*shape, 1, 1, 1, 1) if len(shape) < 4 else shape
    return (sizes[0], sizes[1], sizes[2], math.prod(sizes[3:]))


def map_axes(shape: Sequence[int]) -> Shape:
    """As `four_axes`, but N x C x 1 x L for N x C x L."""
    return (shape[0], shape[1], 1, shape[2]) if len(shape) == 3 else four_axes(shape)


class Context:
    """Collects the graph's nodes, constants and shapes while the ONNX nodes are converted one after another."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[graph.Node] = []
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, Shape] = {}
        self._activations: dict[str, Activation] = {}
        self._origin = self._output = ""
        self._values: set[str] = set()
        self._names: set[str] = set()

    def begin(self, origin: str, output: str) -> None:
        """Says which ONNX node, by name and first output, is converted: what is added gets its names."""
        self._origin, self._output = origin, output

    def name_after(self, output: str) -> None:
        """Says which output of the node is computed next, for nodes that have several."""
        self._output = output

    def add_input(self, name: str, shape: Sequence[int]) -> Activation:
        """Declares a value that is fed rather than computed."""
        value = _unique(name, self._values)
        self.shapes[value] = four_axes(shape)
        return self.bind(name, Activation(value, tuple(shape)))

    def bind(self, name: str, activation: Activation) -> Activation:
        """Makes an activation known as the ONNX value `name`."""
        self._activations[name] = activation
        return activation

    def known(self, value: Value) -> bool:
        """True if the ONNX value is constant or has been computed."""
        return value.constant is not None or value.name in self._activations

    def lookup(self, value: Value) -> Activation:
        """The activation of an ONNX value that is `known` and not constant."""
        return self._activations[value.name]

    def activation(self, node: Node, index: int = 0) -> Activation:
        """The node's input `index`, which must not be constant.

        Raises:
            UnsupportedNodeError: it is constant.
            InvalidNodeError: the node has no such input.
        """
        return self.plain(self.seen(node, index))

    def seen(self, node: Node, index: int = 0) -> Activation:
        """As `activation`, but perhaps with channels last."""
        value = self._input(node, index)
        if value is None:
            raise InvalidNodeError(f"input {index} is missing")
        if value.constant is not None:
            raise UnsupportedNodeError(f"its input {value.name} is constant; it must depend on the inputs of the model")
        return self.lookup(value)

    def is_constant(self, node: Node, index: int) -> bool:
        """True if the node's input `index` is there and constant."""
        value = self._input(node, index)
        return value is not None and value.constant is not None

    def optional(self, node: Node, index: int) -> NDArray[np.generic] | None:
        """The constant that is the node's input `index`; None if the node has no such input.

        Raises:
            UnsupportedNodeError: it is computed at run time.
        """
        value = self._input(node, index)
        if value is None:
            return None
        if value.constant is None:
            raise UnsupportedNodeError(f"its input {value.name} is computed at run time; only a constant is supported")
        return value.constant()

    def constant(self, node: Node, index: int) -> NDArray[np.generic]:
        """As `optional`, for an input that the node must have."""
        array = self.optional(node, index)
        if array is None:
            raise InvalidNodeError(f"input {index} is missing")
        return array

    def integers(self, node: Node, index: int) -> tuple[int, ...] | None:
        """The whole numbers of the constant that is the node's input `index`; None if the node has no such input.

        Raises:
            UnsupportedNodeError: it is computed at run time.
            InvalidNodeError: it has other numbers, or more than there can be axes or parts.
        """
        array = self._list(node, index)
        if array is not None and array.dtype.kind not in "iu":
            raise InvalidNodeError(f"its input {index} is {array.dtype}; it must hold integers")
        return None if array is None else tuple(int(number) for number in array)

    def floats(self, node: Node, index: int) -> tuple[float, ...] | None:
        """As `integers`, for any numbers, as float32."""
        array = self._list(node, index)
        return None if array is None else tuple(float(number) for number in array.astype(np.float32))

    def number(self, node: Node, index: int, default: float) -> float:
        """The one number that is the node's input `index`, as float32; the default if the node has no such input.

        Raises:
            UnsupportedNodeError: it is computed at run time.
            InvalidNodeError: it has another count of numbers.
        """
        numbers = self.floats(node, index)
        if numbers is not None and len(numbers) != 1:
            raise InvalidNodeError(f"its input {index} has {len(numbers)} numbers; it must have one")
        return default if numbers is None else numbers[0]

    def weights(self, node: Node, index: int) -> Array:
        """As `constant`, in float32.

        Raises:
            UnsupportedNodeError: the constant has another type.
        """
        array = self.constant(node, index)
        if array.dtype != np.float32:
            raise UnsupportedNodeError(f"its input {index} is {array.dtype}; only float32 is supported")
        return np.asarray(array, np.float32)

    def emit(
        self,
        operator: Operator,
        activations: Sequence[str],
        constants: Parameters = (),
        role: str = "",
    ) -> str:
        """Adds a node and returns its output's name.

        Args:
            operator: what the node computes.
            activations: names of its activations.
            constants: role (such as `weights`) and array of each of its constants.
            role: what a node does that has no counterpart in the ONNX model; part of its name.

        Raises:
            InvalidNodeError: the shapes do not fit the operator.
            UnsupportedNodeError: the result is too large.
        """
        output = _unique(".".join(filter(None, (self._output, role))), self._values)
        try:
            shape = operator.output_shape(
                [self.shapes[name] for name in activations], [array.shape for _, array in constants]
            )
        except ValueError as error:
            raise InvalidNodeError(str(error)) from error
        if math.prod(shape) > MOST_ELEMENTS:
            raise UnsupportedNodeError(f"its result of shape {shape} has more than {MOST_ELEMENTS} elements")
        names = []
        for constant, array in constants:
            names.append(_unique(f"{output}.{constant}", self._values))
            self.constants[names[-1]] = array
        name = _unique(".".join(filter(None, (self._origin, role))), self._names)
        self.nodes.append(graph.Node(name, operator, (*activations, *names), output, (self._origin,)))
        self.shapes[output] = shape
        return output

    def result(self, operator: Operator, activation: Activation, constants: Parameters = ()) -> Activation:
        """Applies an operator that keeps the shape, on the four axes that belong to the ONNX shape.

        One that looks at each element, with nothing but a number per channel, also runs on a line that lies as a map,
        and with nothing at all on any axes.
        """
        anywhere = operator.pointwise and all(array.ndim == 1 for _, array in constants)
        if operator.pointwise and not constants:
            value = activation.value
        else:
            value = self.as_it_lies(activation) if anywhere else self.canonical(activation)
        return Activation(self.emit(operator, [value], constants), activation.shape)

    def canonical(self, activation: Activation) -> str:
        """The value with the axes that belong to its ONNX shape: N x C x H x W if that has rank 4."""
        return self.reshaped(activation, four_axes(activation.shape))

    def map_of(self, activation: Activation) -> str:
        """The value as a map that windows move over: as `canonical`, but N x C x L as N x C x 1 x L.

        Kernels compute neighbouring columns of a row together, which is ten times as fast as rows of one column.
        """
        return self.reshaped(activation, map_axes(activation.shape))

    def as_it_lies(self, activation: Activation) -> str:
        """The value with its batch and channels, and the rest as any map; for operators that do not look at that."""
        batch, channels, height, width = four_axes(activation.shape)
        return self.merged(activation, batch, channels, height * width)

    def side_by_side(self, activations: Sequence[Activation]) -> list[str]:
        """The values of activations of one rank, all as `map_of` if one lies so, else as `canonical`."""
        axes = self.common_axes(activations)
        return [self.reshaped(activation, axes(activation.shape)) for activation in activations]

    def common_axes(self, activations: Sequence[Activation]) -> Axes:
        """How activations that meet are laid out: `map_axes` if all are lines and one lies so, else `four_axes`."""
        lines = all(len(activation.shape) == 3 for activation in activations)
        lying = [self.shapes[one.value] == map_axes(one.shape) != four_axes(one.shape) for one in activations]
        return map_axes if lines and any(lying) else four_axes

    def reshaped(self, activation: Activation, shape: Shape) -> str:
        """The value with the given axes: itself if it has them, else a reshape of it."""
        if self.shapes[activation.value] == shape:
            return activation.value
        return self.emit(Reshape(shape), [activation.value], role="reshaped")

    def merged(self, activation: Activation, batch: int, channels: int, rest: int) -> str:
        """The value with its axes joined to batch x channels x rest; the rest may have any height and width."""
        shape = self.shapes[activation.value]
        if (shape[0], shape[1], shape[2] * shape[3]) == (batch, channels, rest):
            return activation.value
        return self.reshaped(activation, (batch, channels, rest, 1))

    def along_map(self, activation: Activation, axis: int) -> tuple[str, int]:
        """The value with an axis from the third on as its height or width, and which of these it is: 2 or 3.

        The batch stays what it is; the last axis becomes the width, with the axes before it as rows.
        """
        batch, channels, *_ = shape = activation.shape
        if axis == len(shape) - 1:
            return self.reshaped(activation, (batch, channels, math.prod(shape[2:axis]), shape[axis])), 3
        before, after = math.prod(shape[1:axis]), math.prod(shape[axis + 1 :])
        return self.reshaped(activation, (batch, before, shape[axis], after)), 2

    def plain(self, activation: Activation) -> Activation:
        """The activation with its elements in the order of its ONNX shape: a transposed copy if need be."""
        if not activation.channels_last:
            return activation
        value = activation.value
        if activation.shape[-1] != 1 and math.prod(activation.shape[1:-1]) != 1:
            value = self.emit(Transpose((2, 3, 1)), [value], role="channels_last")
        return Activation(value, activation.shape)

    def last(self, activation: Activation) -> Activation:
        """The activation, of rank 3 or more, with channels last: a transposed copy if it is none yet."""
        if activation.channels_last:
            return activation
        batch, *places, channels = activation.shape
        if channels == 1 or math.prod(places) == 1:
            value = self.merged(activation, batch, channels, math.prod(places))
        elif len(places) == 1:
            value = self.emit(Transpose((2, 1, 3)), [self.canonical(activation)], role="channels_first")
        else:
            joined = self.reshaped(activation, (batch, math.prod(places[:-1]), places[-1], channels))
            value = self.emit(Transpose((3, 1, 2)), [joined], role="channels_first")
        return Activation(value, activation.shape, channels_last=True)

    def of_rank(self, value: str, rank: int) -> Activation:
        """The value, a map as `map_of` gives it, under an ONNX shape of `rank` axes, the others having size 1."""
        batch, channels, height, width = self.shapes[value]
        return Activation(value, (batch, channels, height * width) if rank == 3 else self.shapes[value][:rank])

    def _list(self, node: Node, index: int) -> NDArray[np.generic] | None:
        array = self.optional(node, index)
        if array is not None and array.size > MOST_NUMBERS:
            raise InvalidNodeError(f"its input {index} has {array.size} numbers; at most {MOST_NUMBERS} make sense")
        return None if array is None else array.reshape(-1)

    def _input(self, node: Node, index: int) -> Value | None:
        return node.inputs[index] if index < len(node.inputs) else None


def _unique(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; from now on it is."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    taken.add(candidate)
    return candidate
