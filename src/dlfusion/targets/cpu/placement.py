"""Where every activation of a staged plan lives: a user's array, a tensor between blocks, or a line buffer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dlfusion.layers.layer import Layer, Network
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import Schedule, schedule
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.joining import Join, find_joins, ring_rows
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.memory import Interval, assign_offsets
from dlfusion.targets.cpu.section import ALIGNMENT, round_up
from dlfusion.targets.cpu.stages import Geometry, Staged, geometry, user_geometry


class Kind(StrEnum):
    """The four places an activation can be in."""

    INPUT = "input"
    OUTPUT = "output"
    TENSOR = "tensor"
    RING = "ring"


@dataclass(frozen=True, slots=True)
class Home:
    """A place for one activation.

    `offset` counts floats in the arena of tensors or of scratch; for the user's arrays it is the index of the array.
    `capacity` is in rows; `image_stride` in floats, 0 for a ring.
    """

    kind: Kind
    offset: int
    capacity: int
    image_stride: int
    geometry: Geometry


@dataclass(frozen=True)
class PlacedBlock:
    """A block with the home that each activation has inside it.

    `homes` is where a layer of this block writes or reads a value; `stores` are copies of owned rows from there to
    other homes, made right after the rows are produced. `lowered` says how each layer of the block runs. Of a core's
    `scratch_floats`, the line buffers come first; kernels work in what begins at `kernel_scratch`, one after the other.
    """

    block: Block
    schedule: Schedule
    homes: Mapping[str, Home]
    stores: tuple[tuple[str, Home], ...]
    lowered: tuple[Lowered, ...]
    kernel_scratch: int
    scratch_floats: int


@dataclass(frozen=True)
class Placement:
    """All blocks, the copies to make after the last one (`exports`), and the sizes of both arenas in floats."""

    blocks: tuple[PlacedBlock, ...]
    exports: tuple[tuple[str, Home, Home], ...]
    tensor_floats: int
    scratch_floats: int


def place(staged: Staged, isa: Isa) -> Placement:
    """Finds a home for every activation of every block."""
    return _Placer(staged, isa).run()


class _Placer:
    def __init__(self, staged: Staged, isa: Isa) -> None:
        self._staged = staged
        self._network = staged.network
        self._isa = isa
        graph = staged.network.graph
        self._input_index = {port.value: index for index, port in enumerate(graph.inputs)}
        self._block_of = {layer: index for index, block in enumerate(staged.blocks) for layer in block.layers}
        self._exports: list[tuple[str, int]] = []
        self._tensors = self._place_tensors()

    def run(self) -> Placement:
        blocks = tuple(self._place_block(index, block) for index, block in enumerate(self._staged.blocks))
        scratch = max((block.scratch_floats for block in blocks), default=0)
        exports = tuple((value, self._source(value), self._user_output(port)) for value, port in self._exports)
        return Placement(blocks, exports, self._tensor_floats, scratch)

    # --- between blocks ------------------------------------------------------------------------------------------

    def _last_reader(self, value: str) -> int:
        """The last block that reads a value; one past the last block if it is exported at the end."""
        readers = self._network.consumers.get(value, ())
        return max((self._block_of[reader] for reader in readers), default=-1)

    def _place_tensors(self) -> dict[str, Home]:
        """Gives every value that a later block reads, or that is exported at the end, a range of the tensor arena."""
        intervals = []
        geometries = {}
        for layer in self._network.layers:
            value, born = layer.output, self._block_of[layer.index]
            last = self._last_reader(value)
            if self._is_exported_at_end(layer):
                self._exports += [(value, port) for port in self._ports(value)]
                last = len(self._staged.blocks)
            if last > born:
                shape, row = self._network.shape(value), self._row_geometry(value)
                geometries[value] = row
                intervals.append(Interval(value, shape[0] * shape[2] * row.row_stride, born, last))
        self._exports += [
            (port.value, index)
            for index, port in enumerate(self._network.graph.outputs)
            if port.value in self._input_index
        ]
        offsets, self._tensor_floats = assign_offsets(intervals, alignment=self._isa.lanes)
        return {value: self._tensor(value, offsets[value], row) for value, row in geometries.items()}

    def _tensor(self, value: str, offset: int, row: Geometry) -> Home:
        height = self._network.shape(value)[2]
        return Home(Kind.TENSOR, offset, height, height * row.row_stride, row)

    def _is_exported_at_end(self, layer: Layer) -> bool:
        """Cores that split channels write one place only: what else a value is needed for waits for the barrier."""
        block = self._staged.blocks[self._block_of[layer.index]]
        ports = self._ports(layer.output)
        if not ports or block.partition is Partition.ROWS:
            return False
        alone = len(ports) == 1 and self._last_reader(layer.output) < 0
        return not (alone and self._fits_user_array(layer.output))

    def _ports(self, value: str) -> list[int]:
        return [index for index, port in enumerate(self._network.graph.outputs) if port.value == value]

    def _fits_user_array(self, value: str) -> bool:
        """True if a kernel can write the value straight into the user's array."""
        return self._staged.layouts[value] is Layout.PLANAR and self._staged.pads[value] == Pads()

    def _user_output(self, port: int) -> Home:
        shape = self._network.shape(self._network.graph.outputs[port].value)
        return Home(Kind.OUTPUT, port, shape[2], shape[1] * shape[2] * shape[3], user_geometry(shape))

    def _source(self, value: str) -> Home:
        if value in self._input_index:
            shape = self._network.shape(value)
            stride = shape[1] * shape[2] * shape[3]
            return Home(Kind.INPUT, self._input_index[value], shape[2], stride, user_geometry(shape))
        return self._tensors[value]

    # --- inside a block ------------------------------------------------------------------------------------------

    def _place_block(self, index: int, block: Block) -> PlacedBlock:
        layers = [self._network.layers[i] for i in block.layers]
        produced = {layer.output for layer in layers}
        rows = block_schedule(self._network, block)
        homes = {
            read.value: self._source(read.value)
            for layer in layers
            for read in layer.reads
            if read.value not in produced
        }
        values = [layer.output for layer in layers]
        destinations = {value: self._destinations(value) for value in values}
        stored = {value for value in values if destinations[value]}
        joins, lowered = find_joins(self._staged, block, rows, stored, self._isa)
        heights = ring_rows(rows, joins)
        writable = {}
        for value in values:
            home = next((home for home in destinations[value] if self._layer_can_write(value, home)), None)
            if home and value not in joins and _produces_owned_rows_only(rows, value):
                writable[value] = home
                destinations[value].remove(home)
        rings = [value for value in values if value not in joins and value not in writable]
        offsets, ring_end = self._place_rings(rings, heights, _lifetimes(layers, rows, joins))
        made: dict[str, Home] = dict(writable)
        for value in reversed(values):  # a joined value lies in a home that is already known
            if value in joins:
                made[value] = _inside(made[joins[value].target], joins[value])
            elif value not in writable:
                made[value] = self._ring(value, heights[value], offsets[value])
        homes |= {value: made[value] for value in values}
        stores = tuple((value, home) for value in values for home in destinations[value])
        ways = tuple(lowered.get(layer.index, self._staged.lowered[layer.index]) for layer in layers)
        kernel_scratch = round_up(ring_end, ALIGNMENT)
        scratch = kernel_scratch + max(way.scratch_floats for way in ways)
        return PlacedBlock(block, rows, homes, stores, ways, kernel_scratch, scratch)

    def _place_rings(
        self, values: Sequence[str], heights: Mapping[str, int], lifetimes: Mapping[str, tuple[int, int]]
    ) -> tuple[dict[str, int], int]:
        """Offsets of the line buffers in a core's scratch, and where they end, in floats."""
        intervals = [
            Interval(value, heights[value] * self._row_geometry(value).row_stride, *lifetimes[value])
            for value in values
        ]
        return assign_offsets(intervals, alignment=self._isa.lanes)

    def _row_geometry(self, value: str) -> Geometry:
        return geometry(self._network.shape(value), self._staged.layouts[value], self._staged.pads[value], self._isa)

    def _destinations(self, value: str) -> list[Home]:
        """Where the rows of a value that the block owns must end up."""
        tensor = [self._tensors[value]] if value in self._tensors else []
        if any(name == value for name, _ in self._exports):
            return tensor
        return tensor + [self._user_output(port) for port in self._ports(value)]

    def _layer_can_write(self, value: str, home: Home) -> bool:
        return home.kind is Kind.TENSOR or self._fits_user_array(value)

    def _ring(self, value: str, capacity: int, offset: int) -> Home:
        return Home(Kind.RING, offset, capacity, 0, self._row_geometry(value))


def _lifetimes(layers: Sequence[Layer], rows: Schedule, joins: Mapping[str, Join]) -> Mapping[str, tuple[int, int]]:
    """For each value the first and the last layer of the block, by position, that needs its line buffer.

    In a block of several steps all live from step to step. The target of joins lives as long as what lies in it.
    """
    if not rows.is_one_step:
        return {layer.output: (0, len(layers)) for layer in layers}
    lives = {layer.output: (position, position) for position, layer in enumerate(layers)}
    for position, layer in enumerate(layers):
        for read in layer.reads:
            if read.value in lives:
                lives[read.value] = (lives[read.value][0], position)
    for layer in layers:  # a joined value comes before its target
        if layer.output in joins:
            target = joins[layer.output].target
            born, last = lives[layer.output]
            lives[target] = (min(born, lives[target][0]), max(last, lives[target][1]))
    return lives


def _inside(home: Home, join: Join) -> Home:
    """The home of a value that lies in another's, from one of its channel units on."""
    return replace(home, offset=home.offset + join.channel_unit * home.geometry.channel_stride)


def _produces_owned_rows_only(rows: Schedule, value: str) -> bool:
    """True if no core computes rows of `value` that another core stores."""
    index = rows.flow.values.index(value)
    return all(segment.produced[index] == segment.owned[index] for segment in rows.segments)


def block_schedule(network: Network, block: Block) -> Schedule:
    """The rows of a staged block. Cores that split channels each walk over all rows in one step."""
    if block.partition is Partition.CHANNELS:
        height = max(network.shape(network.layers[i].output)[2] for i in block.layers)
        block = replace(block, cores=1, partition=Partition.ROWS, step_rows=height)
    return schedule(network, block)
