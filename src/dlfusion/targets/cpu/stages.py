"""A plan's blocks as the CPU runs them: layers, with conversions of layout and padding inserted where needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import Node
from dlfusion.layers.layer import Features, Layer, Network, Read
from dlfusion.ops.concat import Concat
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.window import IDENTITY
from dlfusion.plans.plan import Block, Plan
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.convert import convert
from dlfusion.targets.cpu.lowering import Lowering


@dataclass(frozen=True)
class Conversion(Operator):
    """Copies an activation into another memory layout, or the same with other padding."""

    layout: Layout

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        return inputs[0]

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        return 0

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        return inputs[0]

    @property
    def label(self) -> str:
        return f"to {self.layout}"


@dataclass(frozen=True)
class Staged:
    """The network with conversions as layers of their own (so row arithmetic covers them), and the blocks over it."""

    network: Network
    blocks: tuple[Block, ...]
    lowered: tuple[Lowered, ...]
    layouts: Mapping[str, Layout]
    pads: Mapping[str, Pads]

    def is_conversion(self, layer: Layer) -> bool:
        """True for the layers that are in no plan."""
        return isinstance(layer.anchor.operator, Conversion)


def stage(network: Network, plan: Plan, lowering: Lowering, isa: Isa) -> Staged:
    """Inserts in each block the conversions that its layers need before them; each value is converted once a block."""
    return _Stager(network, lowering, isa).run(plan)


class _Stager:
    def __init__(self, network: Network, lowering: Lowering, isa: Isa) -> None:
        self._network = network
        self._lowering = lowering
        self._isa = isa
        self._inputs = {port.value for port in network.graph.inputs}
        self._shapes: dict[str, Shape] = dict(network.graph.shapes)
        self._layouts = dict(lowering.layouts)
        self._layers: list[Layer] = []
        self._lowered: list[Lowered] = []

    def run(self, plan: Plan) -> Staged:
        blocks = tuple(self._block(index, block) for index, block in enumerate(plan.blocks))
        graph = replace(
            self._network.graph,
            nodes=tuple(node for layer in self._layers for node in layer.nodes),
            shapes=self._shapes,
        )
        staged = Network(graph, tuple(self._layers))
        return Staged(staged, blocks, tuple(self._lowered), self._layouts, self._pads())

    def _block(self, index: int, block: Block) -> Block:
        first = len(self._layers)
        converted: dict[tuple[str, Layout], str] = {}
        for index_in_block, way in enumerate(self._lowering.of(block)):
            layer = self._network.layers[block.first + index_in_block]
            reads = []
            for read, layout, pads in zip(layer.reads, way.input_layouts, way.input_pads, strict=True):
                value = read.value
                if self._needs_conversion(value, layout, pads):
                    if (value, layout) not in converted:
                        converted[value, layout] = self._convert(index, value, layout)
                    value = converted[value, layout]
                reads.append(Read(value, read.rows, read.columns))
            self._append(replace(layer, index=len(self._layers), reads=tuple(reads)), way)
        return replace(block, first=first, last=len(self._layers) - 1)

    def _needs_conversion(self, value: str, layout: Layout, pads: Pads) -> bool:
        """The user's arrays have no padding; all other values are stored with the padding that their readers need."""
        return self._layouts[value] is not layout or (value in self._inputs and pads != Pads())

    def _convert(self, block: int, value: str, layout: Layout) -> str:
        target = f"{value} {layout} {block}"
        while target in self._shapes:  # models may use any name
            target += "+"
        self._shapes[target] = self._shapes[value]
        self._layouts[target] = layout
        node = Node(f"{value} to {layout}", Conversion(layout), (value,), target)
        features = Features(0, 0, 0, 0, 0, 0, 0, 0)
        read = Read(value, IDENTITY, IDENTITY)
        layer = Layer(len(self._layers), node.name, node, (), (read,), target, features)
        self._append(layer, convert(self._shapes[value], self._layouts[value], layout, self._isa))
        return target

    def _append(self, layer: Layer, lowered: Lowered) -> None:
        self._layers.append(layer)
        self._lowered.append(lowered)

    def _pads(self) -> dict[str, Pads]:
        """For each value the padding that satisfies its writer and all who read it without conversion."""
        pads: dict[str, Pads] = {}

        def need(value: str, least: Pads) -> None:
            known = pads.get(value, Pads())
            pads[value] = Pads(max(known.left, least.left), max(known.right, least.right))

        for layer, way in zip(self._layers, self._lowered, strict=True):
            need(layer.output, way.output_pads)
            for read, least in zip(layer.reads, way.input_pads, strict=True):
                need(read.value, least)
        outputs = {port.value for port in self._network.graph.outputs}
        for layer in self._layers:
            # With the padding of its inputs, a concatenation has room for layers that write straight into it.
            if isinstance(layer.anchor.operator, Concat) and layer.output not in outputs:
                for read in layer.reads:
                    need(layer.output, pads[read.value])
        return pads


@dataclass(frozen=True, slots=True)
class Geometry:
    """How one row of an activation lies in memory; all in floats.

    `origin` is where channel unit 0, column 0 lies inside the row; a channel unit is a vector of channels (blocked) or
    one channel (planar).
    """

    origin: int
    channel_stride: int
    row_stride: int
    pads: Pads


_ALIASING_FLOATS = 1024  # 4 KiB: rows of channel units that far apart fall into the same sets of the first-level cache


def geometry(shape: Shape, layout: Layout, pads: Pads, isa: Isa) -> Geometry:
    """Row geometry of a value that the program owns: aligned to vectors, and not a multiple of 4 KiB."""
    _, channels, _, width = shape
    if layout is Layout.BLOCKED:
        origin = pads.left * isa.lanes
        channel_stride = (pads.left + width + pads.right) * isa.lanes
        units = ceil(channels / isa.lanes)
    else:
        origin = ceil(pads.left / isa.lanes) * isa.lanes
        channel_stride = ceil((origin + width + pads.right) / isa.lanes) * isa.lanes
        units = channels
    if channel_stride % _ALIASING_FLOATS == 0 and units > 1:
        channel_stride += isa.lanes
    return Geometry(origin, channel_stride, units * channel_stride, pads)


def user_geometry(shape: Shape) -> Geometry:
    """Row geometry of a user's dense N x C x H x W array."""
    _, _, height, width = shape
    return Geometry(0, height * width, width, Pads())
