"""Choices that several strategies share: how a single layer is cut, how a fused block is, where a block must end."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import lcm

from dlfusion.errors import PlanError
from dlfusion.layers.algorithm import output_tile, weight_bytes
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import Flow, block_flow, schedule
from dlfusion.plans.traffic import arena_bytes
from dlfusion.search.prediction import Predictions
from dlfusion.search.problem import Problem

FEW_ROWS_PER_CORE = 4
"""With fewer rows per core than this, cores share a layer by its channels, where that is possible."""

CHANNELS_PER_VECTOR = 16
"""Channels that a core computes together, so that a smaller share would not spread over cores."""

LARGEST_SMALL_STEP = 8
"""More rows per step than this enlarge line buffers and gain nothing (measured on 540 x 960 networks with caches)."""

LARGEST_TILE_STEP = 24
"""More rows per step than this are not asked for only to have whole rows of tiles in all layers."""


def usable_cores(problem: Problem, most: int) -> int | None:
    """The largest core count of the problem that is at most `most`; None if all are larger."""
    return max((count for count in problem.core_counts if count <= most), default=None)


def steps(flow: Flow, cores: int, partition: Partition = Partition.ROWS, unit: int = 1) -> tuple[int, ...]:
    """The rows per step worth telling apart: powers of two below the height of a band, and the whole map.

    And those powers times `unit`, the block's `tile_step`. A step of the whole map (the height of the tallest output)
    takes each core's part of an image at once.
    """
    band = flow.reference_height
    if partition is Partition.ROWS:
        band = min(-(-flow.reference_rows // cores), band)
    powers = [1 << power for power in range((band - 1).bit_length())]
    if unit & (unit - 1):  # a unit that is a power of two adds nothing
        powers = sorted({*powers, *(unit * power for power in powers if unit * power < band)})
    return (*powers, flow.reference_height)


def tile_step(network: Network, block: Block) -> int:
    """The fewest rows per step with which each call of a layer in tiles computes whole rows of tiles; 1 without any.

    Nearly so, where heights of layers are no multiples of each other or would need large steps.
    """
    needed = {_own_tile_step(network, block, *entry) for entry in block.algorithms if output_tile(entry[1]) > 1}
    together = lcm(*needed)
    return together if together <= LARGEST_TILE_STEP else max(needed)


def _own_tile_step(network: Network, block: Block, index: int, algorithm: str) -> int:
    """What `tile_step` is for one layer."""
    rows = output_tile(algorithm)
    reference = block_flow(network, block).reference_height
    exact = Fraction(rows * reference, network.shape(network.layers[index].output)[2])
    return exact.numerator if exact.numerator <= LARGEST_TILE_STEP else max(1, round(exact))


def moved(block: Block, first: int) -> Block:
    """The same choices for an equal range of layers that begins at layer `first`."""
    offset = first - block.first
    algorithms = tuple((index + offset, name) for index, name in block.algorithms)
    return replace(block, first=first, last=block.last + offset, algorithms=algorithms)


def single(problem: Problem, index: int, cores: int, reason: str, predictions: Predictions | None = None) -> Block:
    """Layer `index` alone on up to `cores` cores.

    With caches: in one step; cores share its channels if its weights outweigh its maps or each core would get few
    rows, provided that there are vectors of channels for all; else its rows. With memories that software fills: the
    partition and the step of least predicted time on the most cores that it can use, as such a device's own library
    would choose.

    Raises:
        PlanError: the layer cannot be cut over any of the problem's core counts.
    """
    by_rows, by_channels = _by_rows(problem, index, cores, reason), _by_channels(problem, index, cores, reason)
    if problem.machine.buffer_is_memory:
        possible = [block for block in (by_rows, by_channels) if block is not None]
        possible = possible or [_on_fewest_cores(problem, index, reason)]
        return _cheapest_single(problem, possible, predictions or Predictions(problem))
    layer = problem.network.layers[index]
    features = layer.features
    rows = block_flow(problem.network, Block(index, index, 1)).reference_rows
    weights = weight_bytes(problem.network, layer, problem.chosen_algorithms[index])
    heavy = weights > features.input_bytes + features.output_bytes
    few_rows = rows < FEW_ROWS_PER_CORE * cores
    enough_channels = features.output_channels > CHANNELS_PER_VECTOR * (cores - 1) or rows < cores
    order = (by_channels, by_rows) if (heavy or few_rows) and enough_channels else (by_rows, by_channels)
    chosen = next((block for block in order if block is not None), None)
    return chosen or _on_fewest_cores(problem, index, reason)


def _by_rows(problem: Problem, index: int, cores: int, reason: str) -> Block | None:
    """The layer in one step on the most cores that can share its rows; None if they cannot."""
    alone = Block(index, index, 1, algorithms=problem.algorithms_of(index, index), reason=reason)
    flow = block_flow(problem.network, alone)
    count = usable_cores(problem, min(cores, flow.reference_rows))
    return _if_legal(problem, replace(alone, cores=count, step_rows=flow.reference_height) if count else None)


def _by_channels(problem: Problem, index: int, cores: int, reason: str) -> Block | None:
    """The layer in one step on the most cores that can share its channels; None if they cannot."""
    named = problem.algorithms_of(index, index)
    alone = Block(index, index, 1, Partition.CHANNELS, algorithms=named, reason=reason)
    count = usable_cores(problem, min(cores, problem.network.layers[index].features.output_channels))
    height = block_flow(problem.network, alone).reference_height
    return _if_legal(problem, replace(alone, cores=count, step_rows=height) if count else None)


def _if_legal(problem: Problem, block: Block | None) -> Block | None:
    return block if block is not None and not problems(problem.network, block, problem.limits) else None


def _on_fewest_cores(problem: Problem, index: int, reason: str) -> Block:
    fewest = problem.core_counts[0]
    block = _by_rows(problem, index, fewest, reason) or _by_channels(problem, index, fewest, reason)
    if block is None:
        layer = problem.network.layers[index]
        counts = ", ".join(map(str, problem.core_counts))
        raise PlanError(
            f"Layer {index} ({layer.name}: {layer.anchor.operator.label}) cannot be cut over any of the core counts "
            f"{counts}; allow a smaller one."
        )
    return block


def _cheapest_single(problem: Problem, possible: list[Block], predictions: Predictions) -> Block:
    """The partition and step of least predicted time, of those that use the most cores; the largest step on a tie."""
    most = max(cut.cores for cut in possible)
    flow = block_flow(problem.network, possible[0])
    variants = [
        replace(cut, step_rows=step)
        for cut in possible
        if cut.cores == most
        for step in steps(flow, cut.cores, cut.partition)
    ]
    return min(variants, key=lambda block: (predictions.block(block), -block.step_rows))


def fused(
    problem: Problem, first: int, last: int, cores: int, reason: str, predictions: Predictions | None = None
) -> Block:
    """Layers first..last as one block, cut by rows over up to `cores` cores; of one layer, the same as `single`.

    `runs` says which ranges can be one block.
    """
    if first == last:
        return single(problem, first, cores, reason, predictions)
    block = _fused_on(problem, first, last, cores)
    if block is None:
        raise PlanError(f"Layers {first} to {last} have fewer rows than any core count allowed; allow a smaller one.")
    if problem.machine.buffer_is_memory:
        return replace(_cheapest_step(problem, block, predictions or Predictions(problem)), reason=reason)
    return replace(block, step_rows=step_rows(problem, block), reason=reason)


def _fused_on(problem: Problem, first: int, last: int, cores: int) -> Block | None:
    """The range on the most usable cores, one row per step."""
    block = Block(first, last, 1, algorithms=problem.algorithms_of(first, last))
    count = usable_cores(problem, min(cores, block_flow(problem.network, block).reference_rows))
    return replace(block, cores=count) if count else None


def _cheapest_step(problem: Problem, block: Block, predictions: Predictions) -> Block:
    """The block with the legal step of least predicted time, the largest on a tie; one row must be legal."""
    best, least = block, predictions.block(block)
    for step in steps(block_flow(problem.network, block), block.cores)[1:]:
        larger = replace(block, step_rows=step)
        if problems(problem.network, larger, problem.limits):
            break  # a still larger step holds even more rows
        seconds = predictions.block(larger)
        if seconds <= least:
            best, least = larger, seconds
    return best


def step_rows(problem: Problem, block: Block) -> int:
    """Rows per step for a fused block on a machine with caches: as many, up to a few, as keep line buffers near a core.

    With layers in tiles, one or two rows of tiles in each of them.
    If even one row does not fit, or the weights do not (each step reads them again), the step with the least traffic
    beyond the buffer is taken, whole bands included.
    """
    network, machine = problem.network, problem.machine
    room = machine.buffer_bytes
    flow = block_flow(network, block)
    band = min(-(-flow.reference_rows // block.cores), flow.reference_height)
    weights = sum(weight_bytes(network, network.layers[i], block.algorithm(i)) for i in block.layers)
    inner = 2 * sum(network.layers[index].features.output_bytes for index in block.layers)

    def weights_again(step: int) -> int:
        return weights * -(-band // step) * block.cores if weights > machine.weight_buffer_bytes else 0

    def beyond_cache(step: int) -> tuple[int, int]:
        needed = arena_bytes(network, schedule(network, replace(block, step_rows=step)))
        return weights_again(step) + (inner if needed > room else 0), needed if needed > room else -step

    small = _small_steps(tile_step(network, block), band)
    if weights <= machine.weight_buffer_bytes:
        return next((step for step in small if beyond_cache(step)[0] == 0), small[-1])
    best, least = band, beyond_cache(band)
    for step in small:  # the smaller the step, the more often weights are read again
        if weights_again(step) > least[0]:
            break
        best, least = min((best, least), (step, beyond_cache(step)), key=lambda choice: choice[1])
    return best


def _small_steps(unit: int, band: int) -> list[int]:
    """Steps to choose from, largest first; multiples of `unit` only, as far as the band has so many rows."""
    if unit == 1:
        return [step for step in (8, 4, 2, 1) if step <= min(band, LARGEST_SMALL_STEP)]
    sizes = {unit, 2 * unit, unit * max(1, LARGEST_SMALL_STEP // unit)}
    return sorted((step for step in sizes if step <= band), reverse=True) or [band]


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


def runs(problem: Problem, cores: int, longest: int | None = None) -> list[tuple[int, int, str]]:
    """The layers cut into few runs that are legal blocks on up to `cores` cores: (first, last, why it ends).

    Each run goes on until the next layer stands alone, would make the block illegal, or would be one over `longest`.
    """
    return list(_runs(problem, cores, longest))


def _runs(problem: Problem, cores: int, longest: int | None) -> Iterator[tuple[int, int, str]]:
    network = problem.network
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
        elif obstacle := _obstacle(problem, first, index + 1, cores):
            reason = f"with the next layer, {obstacle}"
        else:
            continue
        yield first, index, reason
        first = index + 1


def _obstacle(problem: Problem, first: int, last: int, cores: int) -> str | None:
    """Why layers first..last cannot be one block on up to `cores` cores in steps of one row; None if they can."""
    block = _fused_on(problem, first, last, cores)
    if block is None:
        return f"no core count of {', '.join(map(str, problem.core_counts))} is as small as the block's rows"
    return next(iter(problems(problem.network, block, problem.limits)), None)
