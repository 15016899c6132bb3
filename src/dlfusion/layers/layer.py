"""The planner's unit: one anchor operator with the pointwise operators that follow it as its epilogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.operator import Shape
from dlfusion.ops.window import Window


@dataclass(frozen=True, slots=True)
class Read:
    """An activation that a layer reads, and which of its rows and columns per output row and column."""

    value: str
    rows: Window
    columns: Window


@dataclass(frozen=True, slots=True)
class Features:
    """What a layer costs, for one run of the whole layer. Bytes are of float32 elements."""

    operations: int
    input_channels: int
    output_channels: int
    output_height: int
    output_width: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int

    @property
    def operations_per_byte(self) -> float:
        """Arithmetic intensity if inputs, weights and output each move once."""
        return self.operations / (self.input_bytes + self.weight_bytes + self.output_bytes)


@dataclass(frozen=True)
class Layer:
    """One row of the plan's tables. `reads` lists the anchor's activations in order, then the epilogue's operands."""

    index: int
    name: str
    anchor: Node
    epilogue: tuple[Node, ...]
    reads: tuple[Read, ...]
    output: str
    features: Features

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Anchor and epilogue in the order they are applied."""
        return (self.anchor, *self.epilogue)


@dataclass(frozen=True)
class Network:
    """A graph cut into layers, in the order that plans refer to; any run of consecutive layers is a possible block."""

    graph: Graph
    layers: tuple[Layer, ...]

    def shape(self, value: str) -> Shape:
        """N x C x H x W of an activation."""
        return self.graph.shapes[value]

    @cached_property
    def producer(self) -> Mapping[str, int]:
        """Index of the layer that computes each value; inputs of the model are absent."""
        return {layer.output: layer.index for layer in self.layers}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[int, ...]]:
        """Indices of the layers that read each value, ascending, each once; the model's outputs are not counted."""
        readers: dict[str, list[int]] = {}
        for layer in self.layers:
            for value in dict.fromkeys(read.value for read in layer.reads):
                readers.setdefault(value, []).append(layer.index)
        return {value: tuple(indices) for value, indices in readers.items()}
