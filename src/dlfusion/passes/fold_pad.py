"""Lets convolutions and average pools pad for themselves."""

import dataclasses

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Operator
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.passes.rebuilding import fused, read_counts, rebuild


def fold_pad(graph: Graph) -> Graph:
    """The graph without a `Pad` with zeros that one convolution or average pool alone reads."""
    reads = read_counts(graph)
    pads: dict[str, Node] = {
        node.output: node
        for node in graph.nodes
        if isinstance(node.operator, Pad) and _is_zero_padding(node.operator) and reads[node.output] == 1
    }
    folded = set()
    nodes = []
    for node in graph.nodes:
        pad = pads.get(node.inputs[0])
        operator = None if pad is None else _with_pad(node.operator, pad.operator)
        if pad is not None and operator is not None:
            folded.add(pad.output)
            inputs = (pad.inputs[0], *node.inputs[1:])
            node = fused(pad, node, name=node.name, operator=operator, inputs=inputs)
        nodes.append(node)
    return rebuild(graph, [node for node in nodes if node.output not in folded]) if folded else graph


def _is_zero_padding(pad: Pad) -> bool:
    return pad.mode is PadMode.CONSTANT and pad.value == 0 and min(pad.top, pad.left, pad.bottom, pad.right) >= 0


def _with_pad(operator: Operator, pad: Operator) -> Operator | None:
    """The operator that pads for itself too; None if it cannot."""
    if not isinstance(pad, Pad) or not isinstance(operator, Conv | AveragePool):
        return None
    top, left, bottom, right = operator.pads
    pads = (top + pad.top, left + pad.left, bottom + pad.bottom, right + pad.right)
    if isinstance(operator, Conv):
        return dataclasses.replace(operator, pads=pads)
    # The zeros of the `Pad` count as elements, so the pool's own padding must count too, or be none.
    if operator.count_include_pad or operator.pads == (0, 0, 0, 0):
        return dataclasses.replace(operator, pads=pads, count_include_pad=True)
    return None
