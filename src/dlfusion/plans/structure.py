"""When two blocks do the same work: a digest that is equal for the repeated parts of a network."""

import hashlib

from dlfusion.graph.graph import Graph, Node
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.plans.flow import block_flow
from dlfusion.plans.memo import NetworkMemo
from dlfusion.plans.plan import Block
from dlfusion.plans.rows import longest_segment


def structure(network: Network, block: Block) -> str:
    """A digest of all that a legal block's time depends on, apart from the device.

    Counted are operators with their attributes, shapes of parameters and activations, who reads which value, which
    values leave the block, which values are the model's own inputs and outputs, cores, partition, rows per step (all
    that do a band in one step count as one) and algorithms. Names, indices, values of weights and the block's `reason`
    do not count, so that equal digests may come from different networks.
    """
    layers = _LAYERS.get(network, (block.first, block.last), lambda: _layers_digest(network, block))
    flow = block_flow(network, block)
    step = min(block.step_rows, longest_segment(flow.reference_height, flow.images, block.cores, block.partition))
    algorithms = sorted((layer - block.first, name) for layer, name in block.algorithms if name != Algorithm.DIRECT)
    choices = repr((block.cores, str(block.partition), step, algorithms))
    return hashlib.sha256(f"{layers} {choices}".encode()).hexdigest()


_LAYERS: NetworkMemo[tuple[int, int], str] = NetworkMemo(capacity=1 << 16)
_NODES: NetworkMemo[str, str] = NetworkMemo(capacity=1 << 16)
"""Digests and texts that depend on the network alone: planners ask about the same layers many times."""


def _layers_digest(network: Network, block: Block) -> str:
    """A digest of the block's layers, whatever the number of cores, steps and algorithms."""
    graph = network.graph
    inputs = {port.value for port in graph.inputs}
    outputs = {port.value for port in graph.outputs}
    flow = block_flow(network, block)
    leaves = dict(zip(flow.values, flow.is_output, strict=True))
    numbers: dict[str, int] = {}
    state = hashlib.sha256()
    for index in block.layers:
        for node in network.layers[index].nodes:
            read = []
            for value in graph.activations(node):
                # A value from outside gets its number, and is described, where it is first read.
                known = value in numbers
                number = numbers.setdefault(value, len(numbers))
                read.append((number,) if known else (number, graph.shapes[value], value in inputs))
            numbers[node.output] = len(numbers)
            state.update(
                repr((_node_text(network, node), read, leaves.get(node.output), node.output in outputs)).encode()
            )
        state.update(b"end of layer")
    return state.hexdigest()


def _node_text(network: Network, node: Node) -> str:
    """A node apart from its place: operator, result, parameters, and which of its inputs are parameters."""
    return _NODES.get(network, node.output, lambda: _make_node_text(network.graph, node))


def _make_node_text(graph: Graph, node: Node) -> str:
    parameters = [graph.constants[name].shape if name in graph.constants else None for name in node.inputs]
    return repr((node.operator, graph.shapes[node.output], parameters))
