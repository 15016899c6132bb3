"""Proves that nodes are grouped into layers and ordered as the planner's rules say."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.grouping import LONGEST_EPILOGUE
from dlfusion.layers.layer import Network
from dlfusion.layers.order import ordered_nodes
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.mul import Mul
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.window import IDENTITY, everything
from tests.support.networks import convolution, mobilenet_v2, relu, resnet_50, vgg_head
from tests.support.random_networks import networks


def started(height: int = 6) -> tuple[GraphBuilder, str]:
    builder = GraphBuilder("small")
    return builder, builder.input("image", (1, 4, height, 6))


def layer_nodes(network: Network) -> list[list[str]]:
    return [[node.name for node in layer.nodes] for layer in network.layers]


def test_a_residual_sum_joins_the_later_operand() -> None:
    builder, value = started()
    skip = convolution(builder, value, 4, 1, name="skip")
    inner = relu(builder, convolution(builder, skip, 8, 3, name="inner"))
    main = convolution(builder, inner, 4, 3, name="main")
    builder.output(relu(builder, builder.node(Add(), [skip, main], name="sum")))
    network = describe(builder.build())
    assert [nodes[0] for nodes in layer_nodes(network)] == ["skip", "inner", "main"]
    last = network.layers[-1]
    assert [node.name for node in last.nodes][:2] == ["main", "sum"]
    assert len(last.epilogue) == 2
    assert [read.value for read in last.reads] == [inner, "skip"]
    assert last.reads[1].rows == IDENTITY


def test_a_value_with_two_readers_takes_no_epilogue() -> None:
    builder, value = started()
    source = convolution(builder, value, 4, 3, name="source")
    builder.output(builder.node(Concat(), [relu(builder, source), source]))
    assert len(describe(builder.build()).layers) == 3


def test_an_output_of_the_model_takes_no_epilogue() -> None:
    builder, value = started()
    source = convolution(builder, value, 4, 3, name="source")
    builder.output(source)
    builder.output(relu(builder, source))
    assert len(describe(builder.build()).layers) == 2


def test_a_sum_of_one_value_with_itself_is_a_layer() -> None:
    builder, value = started()
    source = convolution(builder, value, 4, 3, name="source")
    builder.output(builder.node(Add(), [source, source], name="double"))
    network = describe(builder.build())
    assert layer_nodes(network) == [["source"], ["double"]]
    assert [read.value for read in network.layers[1].reads] == ["source", "source"]


def test_a_factor_per_channel_is_an_operand_if_it_is_made_before() -> None:
    builder = GraphBuilder("gate")
    value = builder.input("image", (1, 4, 6, 6))
    factor = builder.input("factor", (1, 4, 1, 1))
    source = convolution(builder, value, 4, 3, name="source")
    builder.output(builder.node(Mul(), [source, factor], name="gate"))
    (layer,) = describe(builder.build()).layers
    assert [node.name for node in layer.nodes] == ["source", "gate"]
    assert [read.value for read in layer.reads] == ["image", "factor"]
    assert layer.reads[1].rows == everything(1)


def test_a_gate_computed_from_the_map_it_scales_is_a_layer() -> None:
    builder, value = started()
    source = convolution(builder, value, 4, 3, name="source")
    factor = convolution(builder, builder.node(GlobalAveragePool(), [source], name="pool"), 4, 1, name="factor")
    builder.output(relu(builder, builder.node(Mul(), [source, factor], name="gate")))
    network = describe(builder.build())
    assert [nodes[0] for nodes in layer_nodes(network)] == ["source", "pool", "factor", "gate"]
    assert len(network.layers[-1].epilogue) == 1


def test_a_product_continues_its_map_not_its_factor() -> None:
    builder, value = started(height=1)
    factor = convolution(builder, value, 4, 1, name="factor")
    pooled = builder.node(GlobalAveragePool(), [factor], name="pool")
    builder.output(builder.node(Mul(), [value, pooled], name="gate"))
    assert layer_nodes(describe(builder.build()))[-1] == ["gate"]


def test_constants_of_the_epilogue_count_as_weights() -> None:
    builder, value = started()
    value = builder.node(PRelu(), [convolution(builder, value, 8, 3)], [np.zeros(8)])
    builder.output(builder.node(Gemm(), [value], [np.zeros((5, 8, 6, 6)), np.zeros(5)]))
    first, last = describe(builder.build()).layers
    assert first.features.weight_bytes == (8 * 4 * 9 + 8 + 8) * 4
    assert first.features.operations == 2 * 8 * 36 * 36 + first.epilogue[0].operator.operations([(1, 8, 6, 6)], [(8,)])
    assert (first.features.input_bytes, first.features.output_bytes) == (4 * 36 * 4, 8 * 36 * 4)
    assert last.features.operations_per_byte == pytest.approx(2 * 5 * 288 / ((288 + 5 * 288 + 5 + 5) * 4))


def test_epilogues_are_no_longer_than_kernels_hold() -> None:
    """A scale and a shift are two operations."""
    for anchor in (True, False):
        builder, value = started()
        value = convolution(builder, value, 4, 3) if anchor else value
        for _ in range(LONGEST_EPILOGUE // 2):
            value = builder.node(Affine(), [value], [np.ones(4), np.ones(4)])
        for _ in range(LONGEST_EPILOGUE + 1):
            value = relu(builder, value)
        builder.output(value)
        layers = describe(builder.build()).layers
        assert [len(layer.nodes) for layer in layers] == [LONGEST_EPILOGUE // 2 + anchor, LONGEST_EPILOGUE, 1]


def test_layer_names_are_unique() -> None:
    builder, value = started()
    for output in ("a", "b"):
        operator = Clip(0.0, 1.0)
        builder.output(builder.node(operator, [value], name="same", output=output))
    assert [layer.name for layer in describe(builder.build()).layers] == ["same", "same_2"]


def test_unneeded_nodes_are_left_out() -> None:
    builder, value = started()
    relu(builder, convolution(builder, value, 4, 3, name="unneeded"))
    builder.output(convolution(builder, value, 4, 3, name="needed"))
    assert layer_nodes(describe(builder.build())) == [["needed"]]


def test_branches_run_one_after_the_other() -> None:
    builder, value = started()
    branches = []
    for branch in "ab":
        inner = convolution(builder, value, 8, 3, name=f"{branch}1")
        branches.append(inner)
    ends = [convolution(builder, inner, 4, 3, name=f"{branch}2") for branch, inner in zip("ab", branches, strict=True)]
    builder.output(builder.node(Concat(), ends, name="join"))
    order = [node.name for node in ordered_nodes(builder.build())]
    assert order == ["a1", "a2", "b1", "b2", "join"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(networks())
def test_layers_hold_every_node_once_in_an_order_that_can_run(network: Network) -> None:
    graph = network.graph
    names = [node.name for layer in network.layers for node in layer.nodes]
    assert sorted(names) == sorted(node.name for node in graph.nodes)
    made = {port.value for port in graph.inputs}
    for index, layer in enumerate(network.layers):
        assert layer.index == index
        assert {read.value for read in layer.reads} <= made
        made.add(layer.output)
        assert all(node.operator.pointwise for node in layer.epilogue)
    assert {port.value for port in graph.outputs} <= made
    assert describe(graph).layers == network.layers


@pytest.mark.parametrize(
    ("builder", "layers"),
    # ResNet-50: 53 convolutions and a pool; MobileNetV2: 51 convolutions whose sums all are epilogues.
    [(vgg_head, 7), (resnet_50, 54), (mobilenet_v2, 51)],
)
def test_known_networks_have_the_expected_layers(builder: Callable[[], GraphBuilder], layers: int) -> None:
    assert len(describe(builder().build()).layers) == layers
