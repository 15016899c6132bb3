"""Choices that several strategies share: how a single layer is cut, how a fused block is, where a block must end."""

from dataclasses import replace

from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.legality import problems
from dlfusion.plan.plan import Block, Partition
from dlfusion.plan.schedule import block_flow, schedule
from dlfusion.plan.traffic import arena_bytes

FEW_ROWS_PER_CORE = 4
"""With fewer rows per core than this, cores share a layer by its channels, where that is possible."""

CHANNELS_PER_VECTOR = 16
"""Channels that a core computes together, so that a smaller share would not spread over cores."""

LARGEST_SMALL_STEP = 8
"""More rows per step than this enlarge line buffers and gain nothing (measured on 540 x 960 networks)."""

DEFAULT_L2_BYTES = 1 << 20
"""Assumed where the machine does not state its second-level cache."""


def single(network: Network, index: int, cores: int, reason: str) -> Block:
    """Layer `index` alone on up to `cores` cores, in one step.

    Cores share its channels if its weights outweigh its maps or each core would get few rows, provided that there are
    vectors of channels for all; else its rows.
    """
    features = network.layers[index].features
    alone = Block(index, index, 1, reason=reason)
    flow = block_flow(network, alone)
    alone = replace(alone, step_rows=flow.reference_height)
    heavy = features.weight_bytes > features.input_bytes + features.output_bytes
    few_rows = flow.reference_rows < FEW_ROWS_PER_CORE * cores
    by_rows = replace(alone, cores=min(cores, flow.reference_rows))
    by_channels = replace(alone, cores=min(cores, features.output_channels), partition=Partition.CHANNELS)
    enough_channels = features.output_channels > CHANNELS_PER_VECTOR * (cores - 1) or flow.reference_rows < cores
    order = (by_channels, by_rows) if (heavy or few_rows) and enough_channels else (by_rows, by_channels)
    return next((block for block in order if not problems(network, block)), alone)


def fused(network: Network, machine: Machine, first: int, last: int, cores: int, reason: str) -> Block:
    """Layers first..last as one block, cut by rows over up to `cores` cores; of one layer, the same as `single`."""
    if first == last:
        return single(network, first, cores, reason)
    block = Block(first, last, 1, reason=reason)
    block = replace(block, cores=min(cores, block_flow(network, block).reference_rows))
    return replace(block, step_rows=step_rows(network, block, machine))


def step_rows(network: Network, block: Block, machine: Machine) -> int:
    """Rows per step for a fused block: as many, up to a few, as keep the line buffers in half of the L2 cache.

    If even one row does not fit, or the weights do not (each step reads them again), the step with the least traffic
    beyond the L2 cache is taken, whole bands included.
    """
    room = (machine.l2_bytes or DEFAULT_L2_BYTES) // 2
    flow = block_flow(network, block)
    band = min(-(-flow.reference_rows // block.cores), flow.reference_height)
    weights = sum(network.layers[index].features.weight_bytes for index in block.layers)
    inner = 2 * sum(network.layers[index].features.output_bytes for index in block.layers)

    def weights_again(step: int) -> int:
        return weights * -(-band // step) * block.cores if weights > room else 0

    def beyond_cache(step: int) -> tuple[int, int]:
        needed = arena_bytes(network, schedule(network, replace(block, step_rows=step)))
        return weights_again(step) + (inner if needed > room else 0), needed if needed > room else -step

    small = [step for step in (8, 4, 2, 1) if step <= min(band, LARGEST_SMALL_STEP)]
    if weights <= room:
        return next((step for step in small if beyond_cache(step)[0] == 0), small[-1])
    best, least = band, beyond_cache(band)
    for step in small:  # the smaller the step, the more often weights are read again
        if weights_again(step) > least[0]:
            break
        best, least = min((best, least), (step, beyond_cache(step)), key=lambda choice: choice[1])
    return best


def stands_alone(network: Network, index: int) -> bool:
    """True if the layer reads its whole input for every row.

    Either no block can hold it and another, or it has a single row of output, which only one core could compute.
    """
    layer = network.layers[index]
    if not all(node.operator.streams for node in layer.nodes):
        return True
    heights = {read.value: network.shape(read.value)[2] for read in layer.reads}
    whole = (read.rows.first(0) <= 0 and read.rows.end(1) >= heights[read.value] for read in layer.reads)
    return layer.features.output_height == 1 and max(heights.values()) > 1 and all(whole)


def runs(network: Network, longest: int | None = None) -> list[tuple[int, int, str]]:
    """The layers cut into as few runs as legality allows, none over `longest` layers: (first, last, why it ends)."""
    found: list[tuple[int, int, str]] = []
    first = 0
    last_layer = len(network.layers) - 1
    for index in range(len(network.layers)):
        if index == last_layer:
            reason = "last layer of the network"
        elif stands_alone(network, index):
            reason = f"{network.layers[index].anchor.operator.label} reads its whole input for every row"
        elif stands_alone(network, index + 1):
            reason = f"the next layer, {network.layers[index + 1].anchor.operator.label}, reads its whole input"
        elif longest is not None and index + 1 - first == longest:
            reason = "layers alone" if longest == 1 else f"{longest} layers to a block"
        else:
            continue
        found.append((first, index, reason))
        first = index + 1
    return found
