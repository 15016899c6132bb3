"""Operations that Winograd's transforms of tiles take, and the time of a layer that is computed so.

A tile of s x s elements is transformed by s-point transforms, one for each of its columns, then one for each row that
is left: s + s of inputs, and of sums, of which m rows are left, s + m. What a transform of one column or row takes is
counted from the matrices of Lavin and Gray (CVPR 2016) and of their extension to more points, even and odd
parts shared: additions and multiplications by constants alike.
"""

from dlfusion.layers.algorithm import Algorithm, output_tile, winograd_work
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv

INPUT_OPERATIONS = {4: 4, 6: 12, 8: 26}
"""Of one s-point transform of inputs, by s."""

OUTPUT_OPERATIONS = {(4, 2): 4, (6, 4): 10, (8, 6): 22, (6, 2): 8, (8, 4): 16}
"""Of one transform of s sums to m outputs, by s and m."""


TILES_PER_WEIGHT = 6.0
"""Fetching one weight for the products takes as long as the products of so many tiles (measured on Sapphire Rapids)."""

MOST_TILES = 28
"""Tiles that share a weight that was fetched; more of them change little."""


def operations_per_element(layer: Layer, algorithm: Algorithm) -> tuple[float, float]:
    """Operations that transforming takes per element of the tiles of inputs, and of the tiles of sums.

    For a 3x3 kernel: 2 and 1.5 with tiles of 2 x 2 outputs, 4 and 2.8 with 4 x 4, 6.5 and 4.8 with 6 x 6.
    """
    conv = layer.anchor.operator
    if not isinstance(conv, Conv):
        raise TypeError(f"layer {layer.name} is no convolution")
    m = output_tile(algorithm)
    side = m + conv.kernel[0] - 1
    elements = side * side
    return 2 * side * INPUT_OPERATIONS[side] / elements, (side + m) * OUTPUT_OPERATIONS[side, m] / elements


def winograd_seconds(
    network: Network, layer: Layer, algorithm: Algorithm, product_rate: float, other_rate: float
) -> tuple[float, float]:
    """One core's seconds of the whole layer, and of these the transforms of its inputs.

    `product_rate` is the operations per second of products, and of the epilogue as in the direct method; `other_rate`
    that of transforms. Products of few tiles take longer, because each weight is used few times.
    """
    work = winograd_work(network, layer, algorithm)
    of_input, of_output = operations_per_element(layer, algorithm)
    shapes = tuple(array.shape for array in network.graph.parameters(layer.anchor))
    direct = layer.anchor.operator.operations(network.graph.activation_shapes(layer.anchor), shapes)
    inputs = work.transformed_inputs * of_input / other_rate
    outputs = work.transformed_outputs * of_output / other_rate
    products = work.products * (1 + TILES_PER_WEIGHT / min(work.tiles, MOST_TILES))
    return (products + layer.features.operations - direct) / product_rate + inputs + outputs, inputs
