"""How a layer's sums can be arranged: directly, or in tiles by Winograd's minimal filtering.

F(m x m, r x r) computes m x m neighbouring outputs of a convolution with an r x r kernel from (m + r - 1)^2 inputs by
as many products, instead of m^2 r^2 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016).
Tiles of inputs and the kernels are transformed before, tiles of sums after the products; kernels once, when compiling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv


class Algorithm(StrEnum):
    """The names that plans use. A layer for which a plan names none runs by the direct method."""

    DIRECT = "direct"
    WINOGRAD_2 = "winograd2"
    WINOGRAD_4 = "winograd4"
    WINOGRAD_6 = "winograd6"


OUTPUT_TILE: Mapping[str, int] = {Algorithm.WINOGRAD_2: 2, Algorithm.WINOGRAD_4: 4, Algorithm.WINOGRAD_6: 6}
"""m of F(m x m, r x r)."""

_KERNELS = {3: (2, 4, 6), 5: (2, 4)}
"""For each r the m that are offered: larger tiles lose too many digits (`docs/kernels.md` states the errors)."""

_FEWEST_CHANNELS = 16
"""With fewer channels on either side, transforms cost more than the products that they save."""


@dataclass(frozen=True, slots=True)
class WinogradWork:
    """What the tiles of one layer add up to, for one run of the whole layer.

    `tiles` is their number over one channel. `products` counts multiply-accumulates as two operations.
    `transformed_inputs` and `transformed_outputs` count the elements of all tiles before and after the products, all
    channels included. `weight_factor` is how many times the kernels grow when they are transformed.
    """

    tiles: int
    products: int
    transformed_inputs: int
    transformed_outputs: int
    weight_factor: float


def algorithms(layer: Layer) -> tuple[Algorithm, ...]:
    """The ways in which the layer can be computed, the direct one first."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv) or conv.groups != 1 or conv.kernel[0] != conv.kernel[1]:
        return (Algorithm.DIRECT,)
    features = layer.features
    few = min(features.input_channels, features.output_channels) < _FEWEST_CHANNELS
    if few or conv.strides != (1, 1) or conv.dilations != (1, 1):
        return (Algorithm.DIRECT,)
    sizes = _KERNELS.get(conv.kernel[0], ())
    return (Algorithm.DIRECT, *(Algorithm(name) for name, size in OUTPUT_TILE.items() if size in sizes))


def winograd_work(network: Network, layer: Layer, algorithm: Algorithm) -> WinogradWork:
    """The tiles of a layer that `algorithms` offers `algorithm` for."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv):
        raise TypeError(f"layer {layer.name} is no convolution")
    m = OUTPUT_TILE[algorithm]
    side = m + conv.kernel[0] - 1
    batch, outputs, height, width = network.shape(layer.anchor.output)
    inputs = network.shape(layer.reads[0].value)[1]
    tiles = batch * ceil(height / m) * ceil(width / m)
    elements = tiles * side * side
    return WinogradWork(
        tiles=tiles,
        products=2 * elements * inputs * outputs,
        transformed_inputs=elements * inputs,
        transformed_outputs=elements * outputs,
        weight_factor=side * side / (conv.kernel[0] * conv.kernel[1]),
    )


def output_tile(algorithm: str) -> int:
    """Rows that the algorithm computes at once: m of F(m x m, r x r), 1 for the direct method."""
    return OUTPUT_TILE.get(algorithm, 1)


def weight_bytes(network: Network, layer: Layer, algorithm: str) -> int:
    """Bytes of the layer's parameters (float32) as the algorithm stores them: kernels transformed, all others as is."""
    stored = layer.features.weight_bytes
    if algorithm == Algorithm.DIRECT:
        return stored
    kernels = network.graph.parameters(layer.anchor)[0].size * FLOAT_BYTES
    factor = winograd_work(network, layer, Algorithm(algorithm)).weight_factor
    return stored - kernels + round(kernels * factor)
