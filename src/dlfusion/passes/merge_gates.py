"""Makes one operator of an activation times a function of itself, as models write Swish, HardSwish, Mish and Gelu.

An activation that several nodes read has to be stored before they run; a single operator joins the layer before it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.erf import Erf
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.mish import Mish
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.passes.rebuilding import fused, read_counts, rebuild

_LONGEST = 4
"""Nodes on the way from the activation to its factor, at most."""

Gate = Sequence[Operator | tuple[float, float]]
"""What is applied to the activation to make its factor; a pair is a scale and a shift."""


def merge_gates(graph: Graph) -> Graph:
    """The graph with one operator in place of a product of an activation and a function that it is known for."""
    reads = read_counts(graph)
    producers: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        found = _merged(graph, node, producers, reads)
        merged, absorbed = found or (node, ())
        gone.update(absorbed)
        producers[node.output] = merged
    if not gone:
        return graph
    return rebuild(graph, [node for node in producers.values() if node.output not in gone])


def _merged(
    graph: Graph, node: Node, producers: Mapping[str, Node], reads: Counter[str]
) -> tuple[Node, tuple[str, ...]] | None:
    """The node that computes the same alone, and the values that nothing reads any more."""
    outer: list[Node] = []
    product = node
    if _is_factor(graph, node):
        # What scales the product scales its factor.
        before = producers.get(node.inputs[0])
        if before is None or reads[before.output] != 1:
            return None
        outer, product = [node], before
    if not isinstance(product.operator, Mul) or len(graph.activations(product)) != 2:
        return None
    for index in (0, 1):
        passed = _path(producers, reads, product.inputs[1 - index])
        itself = _path(producers, reads, product.inputs[index])
        for start in range(1, len(passed) + 1):
            root = passed[-start].inputs[0]
            scaled = [inner for inner in itself[-1:] if inner.inputs[0] == root and _is_factor(graph, inner)]
            if not scaled and product.inputs[index] != root:
                continue
            gate = [_step(graph, inner) for inner in (*passed[-start:], *scaled, *outer)]
            operator = _known(_simplified(gate))
            if operator is not None:
                absorbed = [*passed[-start:], *scaled, *([product] if outer else [])]
                first = absorbed[0]
                for inner in (*absorbed[1:], node):
                    first = fused(first, inner)
                merged = fused(first, node, name=node.name, operator=operator, inputs=(root,))
                return merged, tuple(inner.output for inner in absorbed)
    return None


def _path(producers: Mapping[str, Node], reads: Counter[str], value: str) -> list[Node]:
    """The nodes of one activation each that lead to `value`, whose results nothing else reads; the last one last."""
    path: list[Node] = []
    while len(path) < _LONGEST and value in producers and reads[value] == 1:
        node = producers[value]
        if not isinstance(node.operator, Affine | Clip | Erf | HardSigmoid | Sigmoid | Softplus | Tanh):
            break
        path.insert(0, node)
        value = node.inputs[0]
    return path


def _is_factor(graph: Graph, node: Node) -> bool:
    """Whether the node multiplies by one number."""
    step = _step(graph, node)
    return isinstance(step, tuple) and step[1] == 0


def _step(graph: Graph, node: Node) -> Operator | tuple[float, float]:
    """The operator, or a scale and shift if they are the same for all channels."""
    if not isinstance(node.operator, Affine):
        return node.operator
    scale, shift = graph.parameters(node)
    if (scale != scale[0]).any() or (shift != shift[0]).any():
        return node.operator
    return (float(scale[0]), float(shift[0]))


def _simplified(gate: Gate) -> Gate:
    """The gate with consecutive scales and shifts as one."""
    steps: list[Operator | tuple[float, float]] = []
    for step in gate:
        last = steps[-1] if steps else None
        if isinstance(step, tuple) and isinstance(last, tuple):
            steps[-1] = (last[0] * step[0], last[1] * step[0] + step[1])
        else:
            steps.append(step)
    return tuple(steps)


def _known(gate: Gate) -> Operator | None:
    """The operator that is an activation times `gate` of it."""
    match gate:
        case (Sigmoid(),):
            return Swish()
        case ((scale, shift), Sigmoid()) if shift == 0:
            return Swish(scale)
        case (Softplus(), Tanh()):
            return Mish()
        case (HardSigmoid(alpha, beta),) if _close((alpha, beta), (1 / 6, 0.5)):
            return HardSwish()
        case ((scale, shift), Clip(0, 6), (factor, 0)) if _close((scale, shift, factor), (1, 3, 1 / 6)):
            return HardSwish()
        case ((scale, 0), Erf(), (factor, shift)) if _close((scale, factor, shift), (math.sqrt(0.5), 0.5, 0.5)):
            return Gelu()
    return None


def _close(actual: tuple[float, ...], wanted: tuple[float, ...]) -> bool:
    return all(math.isclose(one, other, rel_tol=1e-6) for one, other in zip(actual, wanted, strict=True))
