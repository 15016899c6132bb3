"""Which pointwise nodes become the epilogue of the layer before them."""

from dataclasses import dataclass, field

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.affine import Affine

LONGEST_EPILOGUE = 12
"""How many operations a layer applies to a result while it is at hand; what follows is a layer of its own."""


@dataclass
class Group:
    """A layer in the making: its nodes in the order they are applied, and the value that each epilogue continues."""

    nodes: list[Node]
    mains: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        """The value that the group's last node computes."""
        return self.nodes[-1].output

    @property
    def length(self) -> int:
        """How many operations the group applies to each element, apart from an anchor that is not pointwise."""
        return sum(_length(node) for node in self.nodes if node.operator.pointwise)


def grouped(graph: Graph, order: tuple[Node, ...]) -> tuple[Group, ...]:
    """Nodes in running order, each pointwise one attached to the group whose result it continues, where that is legal.

    A pointwise node joins a group if it alone reads the group's output, that output is no output of the model, and its
    other activations come from earlier groups or from outside: only then do they exist when the group runs. No group
    has more than `LONGEST_EPILOGUE` operations.
    """
    uses: dict[str, int] = {port.value: 1 for port in graph.outputs}
    for node in order:
        for value in graph.activations(node):
            uses[value] = uses.get(value, 0) + 1
    groups: list[Group] = []
    made_by: dict[str, int] = {}
    for node in order:
        host = _host(graph, node, uses, made_by) if node.operator.pointwise else None
        if host is None or groups[host[0]].length + _length(node) > LONGEST_EPILOGUE:
            made_by[node.output] = len(groups)
            groups.append(Group([node]))
        else:
            index, main = host
            groups[index].nodes.append(node)
            groups[index].mains.append(main)
            made_by[node.output] = index
    return tuple(groups)


def _host(graph: Graph, node: Node, uses: dict[str, int], made_by: dict[str, int]) -> tuple[int, str] | None:
    """The group that `node` can join and the activation it continues; the latest such group, or None."""
    activations = graph.activations(node)
    symmetric = all(graph.shapes[value] == graph.shapes[node.output] for value in activations)
    mains = activations if symmetric else activations[:1]
    hosts = []
    for main in mains:
        others = [value for value in activations if value != main]
        if main in made_by and uses[main] == 1 and all(made_by.get(v, -1) < made_by[main] for v in others):
            hosts.append((made_by[main], main))
    return max(hosts, default=None)


def _length(node: Node) -> int:
    """A scale and a shift are two operations."""
    return 2 if isinstance(node.operator, Affine) else 1
