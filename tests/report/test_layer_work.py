"""What layers have to do, and where their bytes are, for networks small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest

from dlfusion.cost.winograd_terms import INPUT_OPERATIONS, OUTPUT_OPERATIONS
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.describe import describe
from dlfusion.layers.kind import Kind
from dlfusion.layers.layer import Network
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.rates import Level
from dlfusion.ops.add import Add
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.report.layer_work import Way, layer_works, multiply_adds, present_rows
from dlfusion.report.limits import LayerWork, Moved
from tests.support.networks import convolution, relu

KIB = 1 << 10
MACHINE = Cpu("toy", 2, l1_bytes=4 * KIB, l2_bytes=32 * KIB, l3_bytes=256 * KIB)


def network() -> Network:
    """16 x 8 x 8 (4 KiB) through a 3x3 convolution to 24 channels (6 KiB), a depthwise one and a pool (1.5 KiB)."""
    builder = GraphBuilder("toy")
    value = relu(builder, convolution(builder, builder.input("image", (1, 16, 8, 8)), 24, 3))
    value = convolution(builder, value, 24, 3, groups=24)
    builder.output(builder.node(MaxPool((2, 2), (2, 2)), [value]))
    return describe(builder.build())


def works(net: Network, *, cores: int = 1, algorithm: str = "direct", weight_bytes: int = 0) -> tuple[LayerWork, ...]:
    named = () if algorithm == "direct" else ((0, algorithm),)
    blocks = tuple(Block(layer.index, layer.index, cores, step_rows=8) for layer in net.layers)
    blocks = (replace(blocks[0], algorithms=named), *blocks[1:])
    way = Way("kernel", lanes=16, lane_axis=1, weight_bytes=weight_bytes)
    return layer_works(net, Plan(net.graph.digest, "m", "unfused", blocks), [way] * len(blocks), MACHINE)


def test_counts_of_a_convolution() -> None:
    dense, depthwise, pool = works(network())
    assert dense.shape == "16x8x8 → 24x8x8"
    assert dense.kind is Kind.DENSE
    assert dense.lanes == (24, 32)
    assert dense.multiply_adds == 144
    assert dense.outputs == 24 * 64
    assert dense.other_steps == 3, "the sum begins, is rectified and stored"
    assert dense.arithmetic == pytest.approx(dense.operations * 22 / 24), "two of 24 rows of windows are padding"
    assert dense.busiest_arithmetic == dense.arithmetic
    assert (depthwise.kind, depthwise.multiply_adds, depthwise.other_steps) == (Kind.DEPTHWISE, 9, 2)
    assert (pool.multiply_adds, pool.other_steps, pool.shape) == (0, 0, "24x8x8 → 24x4x4")


def test_vectors_along_the_width() -> None:
    net = network()
    blocks = tuple(Block(index, index, 1, step_rows=8) for index in range(3))
    ways = [Way("kernel", lanes=16, lane_axis=3, weight_bytes=0)] * 3
    assert layer_works(net, Plan(net.graph.digest, "m", "u", blocks), ways, MACHINE)[2].lanes == (4, 16)


def test_counts_of_tiles() -> None:
    dense = works(network(), algorithm=Algorithm.WINOGRAD_6.value)[0]
    assert dense.tiles == (12, 12), "four tiles of 6 x 6 for 8 x 8"
    assert dense.arithmetic == 2 * 4 * 64 * 16 * 24
    assert dense.tile_bytes == 4 * (4 * 64 * (16 + 24))
    assert dense.output_size == (8, 8)
    of_input, of_output = 16 * INPUT_OPERATIONS[8], 14 * OUTPUT_OPERATIONS[8, 6]
    assert dense.transform_steps == pytest.approx(4 * (16 * of_input + 24 * of_output)), "as the cost model counts"


def test_the_busiest_core() -> None:
    builder = GraphBuilder("odd")
    builder.output(convolution(builder, builder.input("image", (1, 16, 7, 7)), 16, 1))
    (work,) = works(describe(builder.build()), cores=2)
    assert work.busiest_arithmetic == pytest.approx(work.arithmetic * 4 / 7)


def test_sharing_channels_counts_every_row_once() -> None:
    net = network()
    blocks = [Block(index, index, 2, Partition.CHANNELS, 8) for index in range(3)]
    ways = [Way("kernel", 16, 1, 0)] * 3
    dense = layer_works(net, Plan(net.graph.digest, "m", "u", tuple(blocks)), ways, MACHINE)[0]
    assert dense.arithmetic == pytest.approx(works(net)[0].arithmetic)


def test_where_bytes_are() -> None:
    dense, depthwise, pool = works(network())
    # The image was last used before all of the last run: 10 KiB (two activations) are more than 4 KiB.
    assert dense.inputs == Moved(4 * KIB, Level.L2)
    assert dense.output == Moved(6 * KIB, Level.L2, written=True)
    assert depthwise.inputs == Moved(6 * KIB, Level.L2)
    assert pool.output == Moved(3 * KIB // 2, Level.L1, written=True)
    assert works(network(), cores=2)[1].inputs.level is Level.L1, "two cores hold 8 KiB"


def test_weights_are_as_far_as_all_that_a_run_touches() -> None:
    for weight_bytes, level in ((5 * KIB, Level.L2), (20 * KIB, Level.L3), (100 * KIB, Level.MEMORY)):
        dense, depthwise, _ = works(network(), weight_bytes=weight_bytes)
        assert dense.weights == Moved(weight_bytes, level)
    assert depthwise.inputs.level is Level.L3, "the first layer's weights were read since it began to write"


def test_a_layer_that_reads_two_activations_counts_both() -> None:
    builder = GraphBuilder("residual")
    image = builder.input("image", (1, 16, 8, 8))
    value = convolution(builder, image, 16, 3)
    builder.output(builder.node(Add(), [value, image]))
    (work,) = works(describe(builder.build()))
    assert work.inputs.bytes == 4 * KIB, "the image is read twice, but moved once"
    assert work.other_steps == 3


def test_rows_of_padding() -> None:
    builder = GraphBuilder("rows")
    value = convolution(builder, builder.input("image", (1, 4, 7, 7)), 4, 3)
    builder.output(convolution(builder, value, 4, 1))
    first, second = describe(builder.build()).layers
    net = describe(builder.build())
    assert present_rows(net, first) == pytest.approx(19 / 21)
    assert present_rows(net, second) == 1.0


def test_multiply_adds_of_a_fully_connected_layer() -> None:
    builder = GraphBuilder("dense")
    image = builder.input("image", (1, 20, 1, 1))
    builder.output(builder.node(Gemm(), [image], [np.zeros((6, 20, 1, 1), np.float32), np.zeros(6, np.float32)]))
    net = describe(builder.build())
    assert multiply_adds(net, net.layers[0]) == 20


def test_fused_blocks_are_refused() -> None:
    net = network()
    plan = Plan(net.graph.digest, "m", "fused", (Block(0, 2, 1),))
    with pytest.raises(ValueError, match="one layer to a block"):
        layer_works(net, plan, [Way("kernel", 16, 1, 0)], MACHINE)
