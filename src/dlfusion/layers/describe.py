"""From a graph to the planner's layers."""

from math import prod

from dlfusion.graph.graph import FLOAT_BYTES, Graph, Node
from dlfusion.layers.grouping import Group, grouped
from dlfusion.layers.layer import Features, Layer, Network, Read
from dlfusion.layers.order import ordered_nodes


def describe(graph: Graph) -> Network:
    """The graph's layers in the order they run, with what each reads and costs.

    Nodes that no output of the graph needs are left out.
    """
    names: set[str] = set()
    layers = []
    for index, group in enumerate(grouped(graph, ordered_nodes(graph))):
        name = _unique(group.nodes[0].name or group.output, names)
        layers.append(_layer(graph, index, name, group))
    return Network(graph, tuple(layers))


def _unique(wanted: str, names: set[str]) -> str:
    """`wanted`, with a number appended if it is taken; the result is added to `names`."""
    name = wanted
    number = 2
    while name in names:
        name = f"{wanted}_{number}"
        number += 1
    names.add(name)
    return name


def _layer(graph: Graph, index: int, name: str, group: Group) -> Layer:
    anchor, *epilogue = group.nodes
    reads = list(_reads(graph, anchor))
    for node, main in zip(epilogue, group.mains, strict=True):
        reads += [read for read in _reads(graph, node) if read.value != main]
    features = _features(graph, group, tuple(reads))
    return Layer(index, name, anchor, tuple(epilogue), tuple(reads), group.output, features)


def _reads(graph: Graph, node: Node) -> tuple[Read, ...]:
    """The node's activations with the rows and columns it reads of each."""
    shapes = graph.activation_shapes(node)
    rows = node.operator.row_windows(shapes)
    columns = node.operator.column_windows(shapes)
    return tuple(Read(*parts) for parts in zip(graph.activations(node), rows, columns, strict=True))


def _features(graph: Graph, group: Group, reads: tuple[Read, ...]) -> Features:
    batch, channels, height, width = graph.shapes[group.output]
    read_values = dict.fromkeys(read.value for read in reads)
    parameters = [array for node in group.nodes for array in graph.parameters(node)]
    return Features(
        operations=sum(_operations(graph, node) for node in group.nodes),
        input_channels=sum(graph.shapes[value][1] for value in dict.fromkeys(graph.activations(group.nodes[0]))),
        output_channels=channels,
        output_height=height,
        output_width=width,
        input_bytes=sum(prod(graph.shapes[value]) for value in read_values) * FLOAT_BYTES,
        weight_bytes=sum(array.size for array in parameters) * FLOAT_BYTES,
        output_bytes=batch * channels * height * width * FLOAT_BYTES,
    )


def _operations(graph: Graph, node: Node) -> int:
    parameters = tuple(array.shape for array in graph.parameters(node))
    return node.operator.operations(graph.activation_shapes(node), parameters)
