"""What cost formulas need of each layer, worked out once per network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.kind import Kind, kind
from dlfusion.layers.layer import Layer, Network

Floats = NDArray[np.float64]

KINDS: tuple[Kind, ...] = tuple(Kind)
"""The sorts of layers in the order that `LayerNumbers.kinds` counts them."""


@dataclass(frozen=True, eq=False)
class LayerNumbers:
    """One entry per layer of a network.

    Attributes:
        kinds: index into `KINDS`.
        seconds: one core's arithmetic of the whole layer, if it does all rows and channels.
        operations: of the whole layer.
        weight_bytes: of the whole layer, in elements of the machine.
    """

    kinds: NDArray[np.int64]
    seconds: Floats
    operations: Floats
    weight_bytes: Floats


def layer_numbers(network: Network, element_bytes: int, seconds: Callable[[Layer], float]) -> LayerNumbers:
    """The numbers of all layers, for elements of that size and arithmetic that takes one core `seconds(layer)`."""
    layers = network.layers
    return LayerNumbers(
        np.array([KINDS.index(kind(layer)) for layer in layers], np.int64),
        np.array([seconds(layer) for layer in layers], np.float64),
        np.array([layer.features.operations for layer in layers], np.float64),
        np.array([layer.features.weight_bytes // FLOAT_BYTES * element_bytes for layer in layers], np.float64),
    )
