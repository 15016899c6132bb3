"""What cost formulas need of each layer, worked out once per network and algorithm."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dlfusion.cost.terms import WORK_TERMS
from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.algorithm import Algorithm, weight_bytes, winograd_work
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Layer, Network
from dlfusion.plans.plan import Block

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerNumbers:
    """One entry per layer.

    Attributes:
        terms: index into `terms.WORK_TERMS`: the name of the layer's arithmetic.
        seconds: one core's arithmetic of the whole layer, if it does all rows and channels.
        repeated: of these, what each core does in full where cores share the layer by output channels.
        operations: of the whole layer; of its products, if it is computed in tiles.
        weight_bytes: of the whole layer, in elements of the machine.
    """

    terms: NDArray[np.int64]
    seconds: Floats
    repeated: Floats
    operations: Floats
    weight_bytes: Floats

    def part(self, first: int, last: int) -> "LayerNumbers":
        """Those of layers first..last (inclusive)."""
        layers = slice(first, last + 1)
        return LayerNumbers(
            self.terms[layers],
            self.seconds[layers],
            self.repeated[layers],
            self.operations[layers],
            self.weight_bytes[layers],
        )


@dataclass(frozen=True, slots=True)
class Way:
    """The arithmetic of one layer by one algorithm: its name, and seconds as in `LayerNumbers`."""

    term: str
    seconds: float
    repeated: float = 0.0


@dataclass(frozen=True, eq=False)
class NetworkNumbers:
    """The numbers of a network: of all layers computed directly, and of each other way to compute a layer.

    `other` gives for a layer's index and the name of an algorithm the numbers of that one layer, worked out once.
    """

    direct: LayerNumbers
    other: Callable[[int, str], LayerNumbers]

    def of_block(self, block: Block) -> LayerNumbers:
        """Those of the block's layers, by the block's algorithms."""
        return self.chosen(block.first, block.last, block.algorithms)

    def chosen(self, first: int, last: int, named: tuple[tuple[int, str], ...]) -> LayerNumbers:
        """Those of layers first..last, some of them with the algorithm named."""
        numbers = self.direct.part(first, last)
        named = tuple(entry for entry in named if entry[1] != Algorithm.DIRECT)
        if not named:
            return numbers
        places = [index - first for index, _ in named]
        ways = [self.other(*entry) for entry in named]
        arrays = LayerNumbers(*(array.copy() for array in vars(numbers).values()))
        for name, array in vars(arrays).items():
            array[places] = [getattr(way, name)[0] for way in ways]
        return arrays


def network_numbers(
    network: Network,
    element_bytes: int,
    direct: Callable[[Layer], float],
    other: Callable[[Layer, Algorithm], Way] | None = None,
) -> NetworkNumbers:
    """The numbers of all layers, for elements of that size.

    Args:
        network: whose layers.
        element_bytes: of the machine.
        direct: seconds that a layer's arithmetic takes one core by the direct method.
        other: the same by another algorithm; None for a machine that offers none.
    """
    layers = network.layers
    plain = _numbers(
        network, element_bytes, [(layer, Algorithm.DIRECT, Way(str(kind(layer)), direct(layer))) for layer in layers]
    )

    @cache
    def by_other(index: int, name: str) -> LayerNumbers:
        if other is None:
            raise ValueError(f"layer {index} cannot be computed by {name}: the machine has the direct method only")
        algorithm = Algorithm(name)
        return _numbers(network, element_bytes, [(layers[index], algorithm, other(layers[index], algorithm))])

    return NetworkNumbers(plain, by_other)


def _numbers(network: Network, element_bytes: int, ways: list[tuple[Layer, Algorithm, Way]]) -> LayerNumbers:
    return LayerNumbers(
        np.array([WORK_TERMS.index(way.term) for _, _, way in ways], np.int64),
        np.array([way.seconds for _, _, way in ways], np.float64),
        np.array([way.repeated for _, _, way in ways], np.float64),
        np.array([_operations(network, layer, name) for layer, name, _ in ways], np.float64),
        np.array(
            [weight_bytes(network, layer, name) // FLOAT_BYTES * element_bytes for layer, name, _ in ways], np.float64
        ),
    )


def _operations(network: Network, layer: Layer, name: Algorithm) -> int:
    return layer.features.operations if name is Algorithm.DIRECT else winograd_work(network, layer, name).products
