"""What every layer of an unfused plan has to do, from the network, the plan and the kernels that run it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from dlfusion.cost.winograd_terms import operations_per_element
from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm, WinogradWork, output_tile, winograd_work
from dlfusion.layers.kind import Kind, kind
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.rates import Level
from dlfusion.plans.memory import peak_tensor_bytes
from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.plans.work import work
from dlfusion.report.blocks import layer_label
from dlfusion.report.limits import LayerWork, Moved

_BEGIN_AND_STORE = 2
"""Instructions of each vector of outputs beside its multiply-adds and its epilogue: its sum begins and is stored."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a target runs a layer.

    Attributes:
        kernel: the name of its function.
        lanes: of a vector.
        lane_axis: the axis of the output (N x C x H x W) that vectors lie along.
        weight_bytes: of its packed constants.
        copied_bytes: of activations that are brought into another layout or padding before or after.
    """

    kernel: str
    lanes: int
    lane_axis: int
    weight_bytes: int
    copied_bytes: int = 0


def layer_works(network: Network, plan: Plan, ways: Sequence[Way], machine: Cpu) -> tuple[LayerWork, ...]:
    """The work of each layer of a plan that has every layer in a block of its own.

    Raises:
        ValueError: a block of the plan holds several layers.
    """
    if any(len(block.layers) != 1 for block in plan.blocks):
        raise ValueError("a plan with one layer to a block is needed")
    places = _Places(network, plan, ways, machine)
    return tuple(_layer_work(network, block, way, places) for block, way in zip(plan.blocks, ways, strict=True))


def _layer_work(network: Network, block: Block, way: Way, places: "_Places") -> LayerWork:
    layer = network.layers[block.first]
    shape = network.shape(layer.output)
    algorithm = Algorithm(block.algorithm(layer.index))
    done = work(network, schedule(network, block), places.machine.weight_buffer_bytes).operations[0]
    if algorithm is Algorithm.DIRECT:
        done = done * present_rows(network, layer)
    size = output_tile(algorithm)
    tiles = winograd_work(network, layer, algorithm) if algorithm is not Algorithm.DIRECT else None
    used = shape[way.lane_axis]
    return LayerWork(
        index=layer.index,
        name=layer.name,
        label=layer_label(layer),
        kind=kind(layer),
        shape=f"{_shape_text(network.shape(layer.reads[0].value))} → {_shape_text(shape)}",
        algorithm=algorithm.value,
        kernel=way.kernel,
        cores=block.cores,
        operations=layer.features.operations,
        arithmetic=float(done.sum()),
        busiest_arithmetic=float(done.max()),
        lanes=(used, ceil(used / way.lanes) * way.lanes),
        tiles=None if tiles is None else (ceil(shape[2] / size) * size, ceil(shape[3] / size) * size),
        output_size=(shape[2], shape[3]),
        multiply_adds=multiply_adds(network, layer),
        other_steps=_BEGIN_AND_STORE + len(layer.epilogue) if _sums(layer) else 0,
        outputs=prod(shape),
        weights=Moved(way.weight_bytes, places.weights),
        inputs=places.inputs(layer),
        output=places.output(layer),
        tile_bytes=0 if tiles is None else (tiles.transformed_inputs + tiles.transformed_outputs) * FLOAT_BYTES,
        transform_steps=0.0 if tiles is None else _transform_steps(tiles, layer, algorithm),
        copied_bytes=way.copied_bytes,
    )


def present_rows(network: Network, layer: Layer) -> float:
    """The share of the rows that the layer's windows reach for which exist: kernels skip rows of padding.

    Operation counts hold them, so that a layer's count follows from its shapes alone.
    """
    read = layer.reads[0]
    height, inputs = network.shape(layer.output)[2], network.shape(read.value)[2]
    windows = [(read.rows.first(row), read.rows.end(row + 1)) for row in range(height)]
    present = sum(max(0, min(end, inputs) - max(first, 0)) for first, end in windows)
    return present / sum(end - first for first, end in windows)


def multiply_adds(network: Network, layer: Layer) -> float:
    """How many products each output number of the layer's anchor sums up, on average; 0 for what has no products."""
    if not _sums(layer):
        return 0.0
    shapes = [network.shape(layer.reads[0].value)]
    parameters = [array.shape for array in network.graph.parameters(layer.anchor)]
    return layer.anchor.operator.operations(shapes, parameters) / 2 / prod(network.shape(layer.anchor.output))


def _transform_steps(tiles: WinogradWork, layer: Layer, algorithm: Algorithm) -> float:
    """Instructions of all transforms, each element of a tile counted alone."""
    of_input, of_output = operations_per_element(layer, algorithm)
    return tiles.transformed_inputs * of_input + tiles.transformed_outputs * of_output


def _sums(layer: Layer) -> bool:
    return kind(layer).uses_array or kind(layer) is Kind.DEPTHWISE


def _shape_text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[1:]))


class _Places:
    """Where bytes are when a layer needs them: in the nearest memory that holds all that was touched since."""

    def __init__(self, network: Network, plan: Plan, ways: Sequence[Way], machine: Cpu) -> None:
        self.machine = machine
        self._network = network
        self._cores = max(block.cores for block in plan.blocks)
        self._output_bytes = [_bytes(network, layer.output) for layer in network.layers]
        self._weight_bytes = [way.weight_bytes for way in ways]
        self._all_bytes = sum(self._weight_bytes) + peak_tensor_bytes(network, plan)

    @property
    def weights(self) -> Level:
        """Between two uses of a layer's weights, the whole network runs."""
        return self._nearest(self._all_bytes)

    def inputs(self, layer: Layer) -> Moved:
        """All that the layer reads; the place is that of the part that was written longest ago."""
        values = dict.fromkeys(read.value for read in layer.reads)
        since = max((self._touched_since(value, layer) for value in values), default=0)
        return Moved(sum(_bytes(self._network, value) for value in values), self._nearest(since))

    def output(self, layer: Layer) -> Moved:
        """Memory is used again as soon as it is free, so the output's is as near as it can be."""
        size = self._output_bytes[layer.index]
        return Moved(size, self._nearest(size), written=True)

    def _touched_since(self, value: str, layer: Layer) -> int:
        """Bytes written or read from the beginning of the layer that made the value to the beginning of this one."""
        first = self._network.producer.get(value)
        if first is None:
            return self._all_bytes
        layers = range(first, layer.index)
        return sum(self._output_bytes[index] + self._weight_bytes[index] for index in layers)

    def _nearest(self, size: int) -> Level:
        """The nearest level that holds so many bytes; the first two levels are the cores' own and add up."""
        for level, capacity in (
            (Level.L1, (self.machine.l1_bytes or 0) * self._cores),
            (Level.L2, (self.machine.l2_bytes or 0) * self._cores),
            (Level.L3, self.machine.l3_bytes or 0),
        ):
            if size <= capacity:
                return level
        return Level.MEMORY


def _bytes(network: Network, value: str) -> int:
    return prod(network.shape(value)) * FLOAT_BYTES
