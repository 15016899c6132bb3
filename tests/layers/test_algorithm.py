"""Proves which layers can be computed in tiles, and what tiles add up to, worked out by hand."""

import pytest

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.algorithm import Algorithm, algorithms, output_tile, weight_bytes, winograd_work
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Layer, Network
from tests.support.networks import convolution, relu


def network(kernel: int = 3, channels: int = 16, stride: int = 1, dilation: int = 1, groups: int = 1) -> Network:
    builder = GraphBuilder("one")
    value = builder.input("x", (2, channels, 13, 10))
    value = convolution(builder, value, 32, kernel, stride=stride, dilation=dilation, groups=groups)
    builder.output(relu(builder, value))
    return describe(builder.build())


def layer(kernel: int = 3, channels: int = 16, stride: int = 1, dilation: int = 1, groups: int = 1) -> Layer:
    return network(kernel, channels, stride, dilation, groups).layers[0]


def test_square_kernels_of_stride_one_with_enough_channels_have_a_choice() -> None:
    names = tuple(Algorithm)
    assert algorithms(layer()) == names
    assert algorithms(layer(5)) == (Algorithm.DIRECT, Algorithm.WINOGRAD_2, Algorithm.WINOGRAD_4)
    for other in (layer(1), layer(7), layer(stride=2), layer(dilation=2), layer(groups=2), layer(channels=15)):
        assert algorithms(other) == (Algorithm.DIRECT,)


@pytest.mark.parametrize(
    ("name", "kernel", "tiles", "side"),
    [("winograd2", 3, 7 * 5, 4), ("winograd4", 3, 4 * 3, 6), ("winograd6", 3, 3 * 2, 8), ("winograd4", 5, 4 * 3, 8)],
)
def test_tiles_cover_the_map_and_multiply_each_position_once(name: str, kernel: int, tiles: int, side: int) -> None:
    net = network(kernel)
    work = winograd_work(net, net.layers[0], Algorithm(name))
    elements = 2 * tiles * side * side
    assert work.products == 2 * elements * 16 * 32
    assert (work.transformed_inputs, work.transformed_outputs) == (elements * 16, elements * 32)
    assert output_tile(name) == side - kernel + 1


def test_kernels_grow_and_biases_do_not() -> None:
    net = network()
    one = net.layers[0]
    assert weight_bytes(net, one, "direct") == one.features.weight_bytes == (16 * 32 * 9 + 32) * 4
    assert weight_bytes(net, one, "winograd4") == (16 * 32 * 36 + 32) * 4
    assert output_tile("direct") == 1
