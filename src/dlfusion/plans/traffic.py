"""What a block costs beside arithmetic: memory traffic, line buffers, and rows computed more than once.

Bytes are of `element_bytes` per element (4 for float32), without any padding that a target's layout adds.
"""

from dataclasses import dataclass
from math import prod

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import weight_bytes
from dlfusion.layers.layer import Network
from dlfusion.ops.window import Window
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes between a block and the memory that all blocks share, for one run."""

    input_bytes: int
    output_bytes: int
    weight_bytes: int

    @property
    def map_bytes(self) -> int:
        """Activations only."""
        return self.input_bytes + self.output_bytes

    @property
    def total_bytes(self) -> int:
        """Activations and weights."""
        return self.map_bytes + self.weight_bytes


def produced_rows(schedule: Schedule) -> tuple[int, ...]:
    """Rows that each layer of the block computes, over all cores and images, repeated rows counted repeatedly.

    With the channels partition cores share each row, so it counts once.
    """
    rows = schedule.produced.end - schedule.produced.first
    if schedule.block.partition is Partition.CHANNELS:
        rows = rows[:, schedule.cut.core == 0]
    return tuple(rows.sum(axis=1).tolist())


def operations(network: Network, schedule: Schedule) -> int:
    """Arithmetic operations of the block, halo rows included (a multiply-accumulate counts as two).

    Those of the direct method, whatever the algorithms: what the layers compute, not how.
    """
    total = 0
    for index, rows in zip(schedule.block.layers, produced_rows(schedule), strict=True):
        layer = network.layers[index]
        images, _, height, _ = network.shape(layer.output)
        total += layer.features.operations * rows // (images * height)
    return total


def halo_operations(network: Network, schedule: Schedule) -> int:
    """Operations spent on rows that another band computes too; negative where rows are left out that nobody reads."""
    return operations(network, schedule) - _base_operations(network, schedule)


def recompute_ratio(network: Network, schedule: Schedule) -> float:
    """Operations of the block over those of its layers run alone; 1 means that nothing is computed twice."""
    base = _base_operations(network, schedule)
    return operations(network, schedule) / base if base else 1.0


def _base_operations(network: Network, schedule: Schedule) -> int:
    return sum(network.layers[index].features.operations for index in schedule.block.layers)


def row_bytes(network: Network, value: str, element_bytes: int = FLOAT_BYTES) -> int:
    """One row of all channels of one image."""
    _, channels, _, width = network.shape(value)
    return channels * width * element_bytes


def arena_bytes(network: Network, schedule: Schedule, element_bytes: int = FLOAT_BYTES) -> int:
    """Line buffers of one core."""
    rings = schedule.ring_rows.items()
    return sum(rows * row_bytes(network, value, element_bytes) for value, rows in rings)


def block_traffic(network: Network, schedule: Schedule, element_bytes: int = FLOAT_BYTES) -> Traffic:
    """The block's traffic: rows of its inputs (those read by two bands count twice), its outputs, its weights once.

    Weights count as the block's algorithms store them.
    """
    read = schedule.progress[len(schedule.flow.values) :, :, [0, -1]]
    rows = (read[:, :, 1] - read[:, :, 0]).sum(axis=1).tolist()
    values = zip(schedule.flow.inputs, rows, strict=True)
    inputs = sum(count * row_bytes(network, value, element_bytes) for value, count in values)
    outputs = sum(prod(network.shape(value)) * element_bytes for value in schedule.flow.outputs)
    block = schedule.block
    weights = sum(weight_bytes(network, network.layers[index], block.algorithm(index)) for index in block.layers)
    return Traffic(inputs, outputs, weights // FLOAT_BYTES * element_bytes)


def carried_rows(window: Window) -> int:
    """The most rows of input that one output row and the next both read: kernel - stride for a convolution."""
    return max(0, *(window.end(row + 1) - window.first(row + 1) for row in range(window.divisor)))


def line_buffer_bytes(network: Network, schedule: Schedule, element_bytes: int = FLOAT_BYTES) -> int:
    """On-chip storage by the accounting of Alwani et al. (MICRO 2016).

    Each layer keeps `carried_rows` rows of its inputs, the columns that pad them included. This is less than
    `arena_bytes`: rows of the step under way do not count.
    """
    total = 0
    for index in schedule.block.layers:
        layer = network.layers[index]
        for read in layer.reads:
            _, channels, _, width = network.shape(read.value)
            padded_end = max(read.columns.end(network.shape(layer.output)[3]), width)
            padded_width = padded_end - min(read.columns.first(0), 0)
            total += carried_rows(read.rows) * padded_width * channels * element_bytes
    return total
