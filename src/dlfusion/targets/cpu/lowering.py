"""Chooses for every layer one way to run it, and with that the memory layout of every activation.

The choice depends on the network alone, never on the plan, so that a plan cannot change the numbers.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dlfusion.errors import UnsupportedError
from dlfusion.layers.layer import Layer, Network
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels import candidates
from dlfusion.targets.cpu.kernels.convert import convert

_SWEEPS = 3


@dataclass(frozen=True)
class Lowering:
    """The chosen way to run each layer (in the network's order) and the layout of each activation."""

    layers: tuple[Lowered, ...]
    layouts: Mapping[str, Layout]


def lower(network: Network, isa: Isa) -> Lowering:
    """Chooses the cheapest combination of kernels and layouts by the kernels' own cycle estimates.

    Networks for images begin with few channels (planar) and go on with many (blocked), so the search starts from the
    best switch-over between the two and then improves single layers.

    Raises:
        UnsupportedError: no kernel runs a layer; the message lists all such layers.
    """
    with ThreadPoolExecutor() as pool:  # packing weights is copying, for which NumPy lets other threads run
        options = tuple(pool.map(lambda layer: candidates(layer, network, isa), network.layers))
    missing = [layer for layer, found in zip(network.layers, options, strict=True) if not found]
    if missing:
        lines = "\n".join(f"  {layer.anchor.operator.label}, node {layer.name}" for layer in missing)
        raise UnsupportedError(
            f"{network.graph.name}: no CPU kernel for {len(missing)} layer(s):\n{lines}\n"
            "These shapes or attributes are not supported on the CPU target; `dlfusion ops` lists the limits."
        )
    search = _Search(network, isa, options)
    choice = search.improve(search.best_switch_over())
    lowered = tuple(found[index] for found, index in zip(options, choice, strict=True))
    layouts = {port.value: Layout.PLANAR for port in network.graph.inputs}
    for layer, way in zip(network.layers, lowered, strict=True):
        layouts[layer.output] = way.output_layout
    return Lowering(lowered, layouts)


class _Search:
    """Costs of combinations of one candidate per layer."""

    def __init__(self, network: Network, isa: Isa, options: tuple[tuple[Lowered, ...], ...]) -> None:
        self._network = network
        self._options = options
        self._model_outputs = {port.value for port in network.graph.outputs}
        self._conversion = {
            value: convert(shape, Layout.PLANAR, Layout.BLOCKED, isa).cycles
            for value, shape in network.graph.shapes.items()
        }

    def best_switch_over(self) -> list[int]:
        """The cheapest of: the first k layers planar where they can be, the others blocked where they can be."""
        planar = self._preferring(Layout.PLANAR)
        blocked = self._preferring(Layout.BLOCKED)
        combinations = [planar[:k] + blocked[k:] for k in range(len(self._options) + 1)]
        return min(combinations, key=self._total)

    def improve(self, choice: list[int]) -> list[int]:
        """Changes single layers while that lowers the cost."""
        for _ in range(_SWEEPS):
            before = list(choice)
            for index, found in enumerate(self._options):
                costs = [self._around(choice, index, way) for way in range(len(found))]
                choice[index] = costs.index(min(costs))
            if choice == before:
                break
        return choice

    def _preferring(self, layout: Layout) -> list[int]:
        choice = []
        for found in self._options:
            costs = [(way.output_layout is not layout, way.cycles) for way in found]
            choice.append(costs.index(min(costs)))
        return choice

    def _layout(self, choice: list[int], value: str) -> Layout:
        producer = self._network.producer.get(value)
        return Layout.PLANAR if producer is None else self._options[producer][choice[producer]].output_layout

    def _layer_cost(self, choice: list[int], layer: Layer) -> float:
        """The layer's cycles, with the conversions of what it reads and of what the user gets."""
        way = self._options[layer.index][choice[layer.index]]
        cost = way.cycles
        for read, layout in zip(layer.reads, way.input_layouts, strict=True):
            if self._layout(choice, read.value) is not layout:
                cost += self._conversion[read.value]
        if layer.output in self._model_outputs and way.output_layout is not Layout.PLANAR:
            cost += self._conversion[layer.output]
        return cost

    def _total(self, choice: list[int]) -> float:
        return sum(self._layer_cost(choice, layer) for layer in self._network.layers)

    def _around(self, choice: list[int], index: int, way: int) -> float:
        """The cost of what changes if layer `index` is run in the given way."""
        changed = [*choice[:index], way, *choice[index + 1 :]]
        layer = self._network.layers[index]
        readers = self._network.consumers.get(layer.output, ())
        return sum(self._layer_cost(changed, self._network.layers[i]) for i in (index, *readers))
