"""Networks of the layers and chains of a grid, many independent branches in each, so that one program measures many.

A branch is: an input of the model, an entry layer, the layers to measure, an exit layer, an output of the model. The
entry (a 1x1 maximum pool, the cheapest copy) hands over its rows in the layout that the target uses inside of
networks, and the exit (a global maximum pool) reads them so: what is between them is measured as it runs in the
middle of a network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dlfusion.characterization.grid import ChainPoint, Grid, LayerPoint, Sort
from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.report.chains import chain_label

MOST_BRANCHES = 16
"""Of one network: what is measured of it is kept together, so the more it holds, the more an interruption repeats."""

MOST_LAYER_OPERATIONS = 2_500_000_000
"""Of one network of single layers, unless one layer has more: some hundredths of a second on a core."""

MOST_CHAIN_OPERATIONS = 6_000_000_000
"""Of one network of chains: higher, because each choice of length, step and cores is a program for all its chains."""

_WEIGHT_SCALE = 0.02
"""Small enough that eight layers do not overflow, large enough that they do not underflow, whatever the channels."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Layers first..last (inclusive) of a network, to be measured as one block under a name.

    Equal labels mean equal layers, in whatever network they are. `kernel` is the largest of the layers, `stride` the
    product of all.
    """

    label: str
    first: int
    last: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Synthesized:
    """A network and what of it is measured."""

    network: Network
    subjects: tuple[Subject, ...]


def synthesize(grid: Grid) -> Iterator[Synthesized]:
    """The networks of a grid, always the same: those of single layers, then those of chains and their layers."""
    layers = [ChainPoint((point,), ()) for point in grid.layers]
    for number, group in enumerate(_groups(layers, MOST_BRANCHES, MOST_LAYER_OPERATIONS)):
        yield _network(f"layers-{number}", group)
    for number, group in enumerate(_groups(grid.chains, MOST_BRANCHES, MOST_CHAIN_OPERATIONS)):
        yield _network(f"chains-{number}", group)


def _groups(chains: Sequence[ChainPoint], most: int, most_operations: int) -> Iterator[list[ChainPoint]]:
    """The chains in order, cut into groups."""
    group: list[ChainPoint] = []
    for chain in chains:
        operations = sum(member.operations for member in group) + chain.operations
        if group and (len(group) == most or operations > most_operations):
            yield group
            group = []
        group.append(chain)
    if group:
        yield group


def _network(name: str, chains: Sequence[ChainPoint]) -> Synthesized:
    builder = GraphBuilder(name)
    branches = [_branch(builder, f"branch{number}", chain) for number, chain in enumerate(chains)]
    network = describe(builder.build())
    position = {layer.anchor.name: layer.index for layer in network.layers}
    subjects: dict[str, Subject] = {}
    for chain, nodes in zip(chains, branches, strict=True):
        indices = [position[node] for node in nodes]
        for subject in _subjects(chain, indices):
            subjects.setdefault(subject.label, subject)
    return Synthesized(network, tuple(subjects.values()))


def _subjects(chain: ChainPoint, indices: Sequence[int]) -> Iterator[Subject]:
    """Each layer alone, and the beginnings of the chain that are measured."""
    for point, index in zip(chain.layers, indices, strict=True):
        yield Subject(point.label, index, index, point.kernel, point.stride)
    for length in chain.lengths:
        members = chain.layers[:length]
        label = chain_label([point.label for point in members])
        stride = int(np.prod([point.stride for point in members]))
        kernel = max(point.kernel for point in members)
        yield Subject(label, indices[0], indices[length - 1], kernel, stride)


def _branch(builder: GraphBuilder, name: str, chain: ChainPoint) -> list[str]:
    """Append a branch; returns the names of the nodes that the layers to measure begin with."""
    values = [_entry(builder, f"{name}-in", chain.layers[0])]
    nodes = []
    for number, point in enumerate(chain.layers):
        node = f"{name}-{number}"
        nodes.append(node)
        added = values[-1 - point.adds] if point.adds else None
        values.append(_layer(builder, node, point, values[-1], added))
    _exit(builder, f"{name}-out", values[-1])
    return nodes


def _entry(builder: GraphBuilder, name: str, point: LayerPoint) -> str:
    size = point.size * point.stride
    source = builder.input(f"{name}-input", (1, point.inputs, size, size))
    return builder.node(MaxPool((1, 1)), [source], name=name)


def _exit(builder: GraphBuilder, name: str, value: str) -> None:
    builder.output(builder.node(GlobalMaxPool(), [value], name=name))


def _layer(builder: GraphBuilder, name: str, point: LayerPoint, value: str, added: str | None) -> str:
    """Append a layer that reads `value`, and in its epilogue adds `added` if that is given."""
    kernel, strides = (point.kernel, point.kernel), (point.stride, point.stride)
    # A kernel as large as its stride needs no border; any other keeps the middle of the window on the map.
    pads = (0,) * 4 if point.kernel == point.stride else ((point.kernel - 1) // 2,) * 4
    match point.sort:
        case Sort.CONVOLUTION | Sort.DEPTHWISE:
            groups = point.inputs if point.sort is Sort.DEPTHWISE else 1
            shape = (point.outputs, point.inputs // groups, *kernel)
            operator = Conv(kernel, strides, pads, groups=groups)
            result = builder.node(operator, [value], [_weights(shape), _weights(shape[:1])], name=name)
            return _finish(builder, name, result, added)
        case Sort.GEMM:
            shape = (point.outputs, *builder.shape(value)[1:])
            return builder.node(Gemm(), [value], [_weights(shape), _weights(shape[:1])], name=name)
        case Sort.MAX_POOL:
            return builder.node(MaxPool(kernel, strides, pads), [value], name=name)
        case Sort.AVERAGE_POOL:
            return builder.node(AveragePool(kernel, strides, pads), [value], name=name)
        case Sort.GLOBAL_POOL:
            return builder.node(GlobalAveragePool(), [value], name=name)
    return _sum(builder, name, point, value)


def _finish(builder: GraphBuilder, name: str, value: str, added: str | None) -> str:
    """Append the epilogue of a convolution."""
    if added is not None:
        value = builder.node(Add(), [value, added], name=f"{name}-add")
    return builder.node(Clip(0.0), [value], name=f"{name}-relu")


def _sum(builder: GraphBuilder, name: str, point: LayerPoint, value: str) -> str:
    """Append the sum of two activations.

    Both have another reader: else the sum would not be a layer but the end of the one that makes its operand.
    """
    other = _entry(builder, f"{name}-other", point)
    for number, operand in enumerate((value, other)):
        _exit(builder, f"{name}-reader{number}", operand)
    return builder.node(Add(), [value, other], name=name)


def _weights(shape: tuple[int, ...]) -> Array:
    """The beginning of one table for all layers, so that a grid's networks need little memory."""
    count = int(np.prod(shape))
    return _table(1 << max(count - 1, 0).bit_length())[:count].reshape(shape)


@cache
def _table(count: int) -> Array:
    """Seeded, normally distributed numbers: a device's power, and with it its clock, may depend on the data."""
    if count > 1 << 20:
        return np.resize(_table(1 << 20), count)
    table = np.random.default_rng(0).standard_normal(count, np.float32)
    table *= np.float32(_WEIGHT_SCALE)
    return table
