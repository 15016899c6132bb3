"""Chooses the memory layout of every activation, and for every layer a way to run it by each of its algorithms.

The choice depends on the network alone, never on the plan: plans choose algorithms, and nothing else of this.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dlfusion.errors import UnsupportedError
from dlfusion.layers.algorithm import Algorithm, algorithms
from dlfusion.layers.layer import Layer, Network
from dlfusion.plans.plan import Block
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels import candidates
from dlfusion.targets.cpu.kernels.convert import convert
from dlfusion.targets.cpu.precision import Precision

_SWEEPS = 3


@dataclass(frozen=True)
class Lowering:
    """For each layer (in the network's order) the way to run it by each algorithm, and the layout of each activation.

    All ways of a layer read and write the same layouts.
    """

    layers: tuple[Mapping[Algorithm, Lowered], ...]
    layouts: Mapping[str, Layout]

    def of(self, block: Block) -> tuple[Lowered, ...]:
        """How each layer of a legal block runs."""
        named = dict(block.algorithms)
        return tuple(self.layers[index][Algorithm(named.get(index, Algorithm.DIRECT))] for index in block.layers)


def lower(network: Network, isa: Isa, precision: Precision = Precision.FP32) -> Lowering:
    """Chooses the cheapest combination of kernels and layouts by the kernels' own cycle estimates.

    Networks for images begin with few channels (planar) and go on with many (blocked), so the search starts from the
    best switch-over between the two and then improves single layers.

    Raises:
        UnsupportedError: no kernel runs a layer; the message lists all such layers.
    """
    options = tuple(_options(layer, network, isa, precision) for layer in network.layers)
    missing = [layer for layer, found in zip(network.layers, options, strict=True) if not found]
    if missing:
        lines = "\n".join(
            f"  {layer.anchor.operator.label}, node {layer.name}{_why(layer, network)}" for layer in missing
        )
        raise UnsupportedError(
            f"{network.graph.name}: no CPU kernel for {len(missing)} layer(s):\n{lines}\n"
            "These shapes or attributes are not supported on the CPU target; `dlfusion ops` lists the limits."
        )
    search = _Search(network, isa, options)
    choice = search.improve(search.best_switch_over())
    layouts = {port.value: Layout.PLANAR for port in network.graph.inputs}
    lowered = []
    for layer, found, index in zip(network.layers, options, choice, strict=True):
        layouts[layer.output] = found[index].output_layout
        lowered.append(_by_algorithm(found, found[index]))
    return Lowering(tuple(lowered), layouts)


def _why(layer: Layer, network: Network) -> str:
    """What no kernel can do about the layer, where that is known."""
    images = {network.shape(own)[0] for own in (layer.output, *(read.value for read in layer.reads))}
    if len(images) == 1:
        return ""
    return f": {' and '.join(map(str, sorted(images)))} images, while kernels see one at a time; keep axis 0 apart"


def _options(layer: Layer, network: Network, isa: Isa, precision: Precision) -> tuple[Lowered, ...]:
    """The candidates of a layer; with a choice of algorithms, those that read and write what all algorithms do."""
    found = tuple(way.stored(precision) for way in candidates(layer, network, isa))
    if len(algorithms(layer)) == 1:
        return found
    others = [way for way in found if way.algorithm is not Algorithm.DIRECT]
    return tuple(way for way in found if all(_same_layouts(way, other) for other in others))


def _same_layouts(one: Lowered, other: Lowered) -> bool:
    return (one.input_layouts, one.output_layout) == (other.input_layouts, other.output_layout)


def _by_algorithm(found: tuple[Lowered, ...], chosen: Lowered) -> Mapping[Algorithm, Lowered]:
    """For each algorithm the cheapest way in the layouts of the chosen one."""
    ways: dict[Algorithm, Lowered] = {}
    for way in sorted(found, key=lambda way: way.cycles):
        if _same_layouts(way, chosen):
            ways.setdefault(way.algorithm, way)
    return ways


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
