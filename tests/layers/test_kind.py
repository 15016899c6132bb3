"""Proves which sort of work each layer is taken for."""

import numpy as np
import pytest

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.kind import Kind, kind
from dlfusion.ops.add import Add
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.operator import Operator
from dlfusion.ops.softmax import Softmax
from tests.support.networks import convolution, relu


@pytest.mark.parametrize(
    ("kernel", "groups", "expected"),
    [
        (3, 1, Kind.DENSE),
        (1, 1, Kind.POINTWISE),
        (3, 2, Kind.DENSE),
        (3, 8, Kind.DEPTHWISE),
        (1, 8, Kind.DEPTHWISE),
    ],
)
def test_convolutions(kernel: int, groups: int, expected: Kind) -> None:
    builder = GraphBuilder("one")
    value = convolution(builder, builder.input("x", (1, 8, 6, 6)), 16, kernel, groups=groups)
    builder.output(relu(builder, value))
    assert kind(describe(builder.build()).layers[0]) is expected


def test_a_convolution_of_one_channel_is_dense() -> None:
    builder = GraphBuilder("one")
    builder.output(convolution(builder, builder.input("x", (1, 1, 6, 6)), 4, 3))
    assert kind(describe(builder.build()).layers[0]) is Kind.DENSE


@pytest.mark.parametrize(("groups", "expected"), [(1, Kind.DENSE), (8, Kind.DEPTHWISE)])
def test_transposed_convolutions(groups: int, expected: Kind) -> None:
    builder = GraphBuilder("one")
    operator = ConvTranspose((2, 2), (2, 2), groups=groups)
    weights = np.zeros((8, 8 // groups, 2, 2))
    builder.output(builder.node(operator, [builder.input("x", (1, 8, 6, 6))], [weights, np.zeros(8)]))
    assert kind(describe(builder.build()).layers[0]) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (MaxPool((2, 2), (2, 2)), Kind.POOL),
        (AveragePool((2, 2), (2, 2)), Kind.POOL),
        (GlobalAveragePool(), Kind.POOL),
        (LpPool((2, 2)), Kind.POOL),
        (Softmax(), Kind.OTHER),
    ],
)
def test_layers_without_weights(operator: Operator, expected: Kind) -> None:
    builder = GraphBuilder("one")
    builder.output(builder.node(operator, [builder.input("x", (1, 8, 6, 6))]))
    assert kind(describe(builder.build()).layers[0]) is expected


def test_the_epilogue_does_not_count() -> None:
    builder = GraphBuilder("one")
    value = builder.node(Gemm(), [builder.input("x", (1, 8, 1, 1))], [np.zeros((8, 8, 1, 1)), np.zeros(8)])
    builder.output(builder.node(Add(), [value, builder.input("y", (1, 8, 1, 1))]))
    (layer,) = describe(builder.build()).layers
    assert layer.epilogue
    assert kind(layer) is Kind.GEMM


def test_the_array_does_what_sums_over_many_channels() -> None:
    assert {sort for sort in Kind if sort.uses_array} == {Kind.DENSE, Kind.POINTWISE, Kind.GEMM}
