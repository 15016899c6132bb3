"""Removes nodes that hand their input through."""

import dataclasses
import math

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.affine import Affine
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.depth_to_space import DepthToSpace
from dlfusion.ops.pad import Pad
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.slice import Slice
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.transpose import Transpose
from dlfusion.passes.rebuilding import rebuild


def drop_identities(graph: Graph) -> Graph:
    """The graph without operators that change nothing; a reshape of a reshape becomes one.

    A node that copies an input of the model to an output stays, since every output is the result of a node.
    """
    fed = {port.value for port in graph.inputs}
    returned = {port.value for port in graph.outputs}
    renamed: dict[str, str] = {}
    reshaped: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        source = node.inputs[0]
        while source in renamed:
            source = renamed[source]
        if isinstance(node.operator, Reshape):
            source = reshaped.get(source, source)
            reshaped[node.output] = source
            node = dataclasses.replace(node, inputs=(source,))
        if _is_identity(graph, node, source) and not (source in fed and node.output in returned):
            renamed[node.output] = source
        else:
            kept.append(node)
    return rebuild(graph, kept, renamed=renamed)


def _is_identity(graph: Graph, node: Node, source: str) -> bool:
    match node.operator:
        case Reshape(shape):
            return graph.shapes[source] == shape
        case Clip(low, high):
            return low == -math.inf and high == math.inf
        case Affine():
            scale, shift = graph.parameters(node)
            return bool((scale == 1).all() and (shift == 0).all())
        case Pad(top, left, bottom, right):
            return (top, left, bottom, right) == (0, 0, 0, 0)
        case Transpose(order):
            return order == (1, 2, 3)
        case ChannelShuffle(groups):
            return groups in (1, graph.shapes[source][1])
        case DepthToSpace(block) | SpaceToDepth(block):
            return block == 1
        case Slice(starts, sizes, steps):
            return starts == (0, 0, 0) and steps == (1, 1, 1) and sizes == graph.shapes[source][1:]
        case Concat() | ConcatMap():
            return len(node.inputs) == 1
        case _:
            return False
