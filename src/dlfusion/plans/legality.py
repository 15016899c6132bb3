"""Which blocks and plans can be run, with the reason and the numbers where they cannot."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from dlfusion.errors import PlanError
from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm, algorithms
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.machine import Machine
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import block_flow, schedule
from dlfusion.plans.work import on_chip_bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a target allows; None means that it sets no limit.

    `on_chip_bytes` is what one core has for a fused block of activations of `element_bytes` each; a layer alone can be
    cut along columns too, so it always fits. `algorithms` are those that a block may name for its layers, as far as
    the layers have them.
    """

    core_counts: tuple[int, ...] | None = None
    on_chip_bytes: int | None = None
    element_bytes: int = FLOAT_BYTES
    algorithms: tuple[str, ...] = (Algorithm.DIRECT,)


NO_LIMITS = Limits()


def machine_limits(machine: Machine, algorithms: tuple[str, ...] = (Algorithm.DIRECT,)) -> Limits:
    """What a machine allows whose target offers these algorithms."""
    on_chip = machine.buffer_bytes if machine.buffer_is_memory else None
    return Limits(machine.core_counts, on_chip, machine.element_bytes, algorithms)


def problems(network: Network, block: Block, limits: Limits = NO_LIMITS) -> tuple[str, ...]:
    """Why a block cannot be run, one sentence each; empty if it can."""
    if not 0 <= block.first <= block.last < len(network.layers):
        return (f"layers {block.first}..{block.last} are not among layers 0..{len(network.layers) - 1}",)
    found = [*_number_problems(block, limits), *_streaming_problems(network, block)]
    found += _algorithm_problems(network, block, limits)
    if found:
        return tuple(found)
    if block.partition is Partition.CHANNELS:
        found += _channel_problems(network, block)
    else:
        found += _row_problems(network, block)
    if not found and limits.on_chip_bytes is not None and block.first < block.last:
        needed = on_chip_bytes(network, schedule(network, block), limits.element_bytes)
        if needed > limits.on_chip_bytes:
            found.append(f"the rows under way need {needed} bytes per core, allowed are {limits.on_chip_bytes}")
    return tuple(found)


def plan_problems(network: Network, plan: Plan, limits: Limits = NO_LIMITS) -> tuple[str, ...]:
    """Why a plan cannot be run, one sentence each; empty if it can."""
    found = list(_cover_problems(network, plan))
    for index, block in enumerate(plan.blocks):
        found += [f"block {index}: {problem}" for problem in problems(network, block, limits)]
    return tuple(found)


def check(network: Network, plan: Plan, limits: Limits = NO_LIMITS) -> None:
    """Nothing, if the plan can be run on the network.

    Raises:
        PlanError: it belongs to another graph, or breaks a rule; the message lists every problem.
    """
    plan.check_graph(network.graph.digest)
    found = plan_problems(network, plan, limits)
    if found:
        listed = "\n".join(f"  {problem}" for problem in found)
        raise PlanError(f"The plan (strategy {plan.strategy}) cannot be run:\n{listed}\nCorrect these blocks.")


def _cover_problems(network: Network, plan: Plan) -> Iterator[str]:
    """Blocks must hold every layer once, in order."""
    expected = 0
    for index, block in enumerate(plan.blocks):
        if block.first != expected:
            yield f"block {index}: starts at layer {block.first}, but the next layer in order is {expected}"
        expected = block.last + 1
    if expected != len(network.layers):
        yield f"the blocks hold {expected} layers, the network has {len(network.layers)}"


def _number_problems(block: Block, limits: Limits) -> Iterator[str]:
    if block.cores < 1:
        yield f"cores is {block.cores}, at least 1 is needed"
    if limits.core_counts is not None and block.cores not in limits.core_counts:
        yield f"{block.cores} cores are asked for, possible are {', '.join(map(str, limits.core_counts))}"
    if block.step_rows < 1:
        yield f"step_rows is {block.step_rows}, at least 1 is needed"


def _algorithm_problems(network: Network, block: Block, limits: Limits) -> Iterator[str]:
    named: set[int] = set()
    for index, name in block.algorithms:
        if index not in block.layers:
            yield f"algorithm {name} is given for layer {index}, which is not in the block"
            continue
        if index in named:
            yield f"layer {index} ({network.layers[index].name}) is given several algorithms; give it one"
        named.add(index)
        offered = offered_algorithms(network.layers[index], limits.algorithms)
        if name not in offered:
            label = network.layers[index].anchor.operator.label
            yield (
                f"algorithm {name} is given for layer {index} ({network.layers[index].name}: {label}), but it can be "
                f"computed only by {', '.join(offered)} here; name one of these, or none to compute it directly"
            )


def offered_algorithms(layer: Layer, of_target: Container[str]) -> tuple[str, ...]:
    """What a layer can be computed by on a target that offers these, the direct method first."""
    return tuple(str(algorithm) for algorithm in algorithms(layer) if algorithm in of_target)


def _streaming_problems(network: Network, block: Block) -> Iterator[str]:
    if block.first == block.last:
        return
    for layer in _layers(network, block):
        if not all(node.operator.streams for node in layer.nodes):
            yield (
                f"layer {layer.index} ({layer.name}: {layer.anchor.operator.label}) reads its whole input for every "
                f"row, so it must stand alone, but the block holds {len(block.layers)} layers"
            )


def _channel_problems(network: Network, block: Block) -> Iterator[str]:
    if block.first != block.last:
        yield f"the channels partition needs a block of one layer, this one holds {len(block.layers)}"
        return
    (layer,) = _layers(network, block)
    for node in layer.nodes:
        if not node.operator.splits_channels:
            yield f"layer {layer.index} ({layer.name}): {node.operator.label} cannot be split by output channels"
    channels = layer.features.output_channels
    if block.cores > channels:
        yield f"{block.cores} cores cannot share {channels} output channels of layer {layer.index} ({layer.name})"


def _row_problems(network: Network, block: Block) -> Iterator[str]:
    rows = block_flow(network, block).reference_rows
    if block.cores > rows:
        yield f"{block.cores} cores cannot share {rows} rows of the block's tallest output"
    for layer in _layers(network, block):
        if block.cores > 1 and layer.features.output_height > 1 and not all(n.operator.streams for n in layer.nodes):
            yield (
                f"layer {layer.index} ({layer.name}: {layer.anchor.operator.label}) reads its whole input for every "
                f"row, so {block.cores} cores cannot share its rows; 1 core can"
            )


def _layers(network: Network, block: Block) -> tuple[Layer, ...]:
    return tuple(network.layers[index] for index in block.layers)
