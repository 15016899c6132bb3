"""Proves that each rule refuses what it should, with the numbers, and that random plans are legal."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.errors import PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.machine.cpu import Cpu
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.reshape import Reshape
from dlfusion.plans.legality import Limits, check, machine_limits, plan_problems, problems
from dlfusion.plans.plan import Block, Partition, Plan
from tests.support.networks import chain, convolution
from tests.support.random_networks import networks, tiled_networks
from tests.support.random_plans import ALL_ALGORITHMS, plans


@pytest.fixture(scope="module")
def network() -> Network:
    """Layers: 0 conv 6 x 6 x 8, 1 conv, 2 global pool, 3 gemm to 4 channels, 4 reshape to 2 x 2."""
    builder = GraphBuilder("small")
    value = convolution(builder, builder.input("image", (1, 3, 6, 6)), 8, 3)
    value = builder.node(GlobalAveragePool(), [convolution(builder, value, 8, 3)])
    value = builder.node(Gemm(), [value], [np.zeros((4, 8, 1, 1)), np.zeros(4)])
    builder.output(builder.node(Reshape((1, 1, 2, 2)), [value]))
    return describe(builder.build())


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Block(0, 9, 1), "layers 0..9 are not among layers 0..4"),
        (Block(1, 0, 1), "layers 1..0 are not among layers 0..4"),
        (Block(0, 0, 0), "cores is 0, at least 1 is needed"),
        (Block(0, 0, 1, step_rows=0), "step_rows is 0, at least 1 is needed"),
        (Block(0, 0, 7), "7 cores cannot share 6 rows"),
        (Block(0, 1, 2, Partition.CHANNELS), "needs a block of one layer, this one holds 2"),
        (Block(1, 1, 9, Partition.CHANNELS), "9 cores cannot share 8 output channels of layer 1"),
        (Block(4, 4, 1, Partition.CHANNELS), "Reshape.* cannot be split by output channels"),
        (Block(4, 4, 2), "so 2 cores cannot share its rows; 1 core can"),
        (Block(1, 2, 1), "layer 2 .*GlobalAveragePool.* must stand alone, but the block holds 2 layers"),
        (Block(2, 3, 1), "layer 3 .*Gemm.* must stand alone"),
        (
            Block(0, 0, 1, algorithms=((1, "direct"),)),
            "algorithm direct is given for layer 1, which is not in the block",
        ),
        (Block(0, 0, 1, algorithms=((0, "winograd4"),)), "winograd4 is given for layer 0 .*only by direct here; name"),
        (Block(0, 0, 1, algorithms=((0, "fft"),)), "algorithm fft is given for layer 0 .*Conv.*only by direct here"),
        (Block(0, 0, 1, algorithms=((0, "direct"),) * 2), "layer 0 .* is given several algorithms; give it one"),
    ],
)
def test_illegal_blocks_are_refused_with_numbers(network: Network, block: Block, message: str) -> None:
    found = problems(network, block)
    assert found
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("\n".join(found))


@pytest.mark.parametrize(
    "block", [Block(0, 1, 6), Block(1, 1, 8, Partition.CHANNELS), Block(3, 3, 4, Partition.CHANNELS), Block(4, 4, 1)]
)
def test_legal_blocks(network: Network, block: Block) -> None:
    assert problems(network, block) == ()


def test_limits_of_the_target(network: Network) -> None:
    block = Block(0, 1, 2)
    # The second core's first step reads 3 rows of the image (3 channels, 6 columns), counted twice; 3 rows of 8
    # channels are in the line buffer, and 2 of the output.
    needed = (6 * 3 + 3 * 8 + 2 * 8) * 6 * 4
    assert problems(network, block, Limits((1, 4))) == ("2 cores are asked for, possible are 1, 4",)
    assert problems(network, block, Limits(on_chip_bytes=needed)) == ()
    (found,) = problems(network, block, Limits(on_chip_bytes=needed - 1))
    assert found == f"the rows under way need {needed} bytes per core, allowed are {needed - 1}"
    assert problems(network, block, Limits(on_chip_bytes=needed - 1, element_bytes=2)) == ()


def test_a_block_names_what_both_the_layer_and_the_target_have() -> None:
    tiled = describe(chain([(16, 3, 1), (16, 1, 1)], height=8, channels=16).build())
    limits = Limits(algorithms=("direct", "winograd4"))
    assert problems(tiled, Block(0, 1, 1, algorithms=((0, "winograd4"), (1, "direct"))), limits) == ()
    (target,) = problems(tiled, Block(0, 1, 1, algorithms=((0, "winograd2"),)), limits)
    assert "computed only by direct, winograd4 here" in target
    (layer,) = problems(tiled, Block(0, 1, 1, algorithms=((1, "winograd4"),)), limits)
    assert "layer 1" in layer
    assert "computed only by direct here" in layer


def test_a_layer_alone_fits_any_memory(network: Network) -> None:
    for block in (Block(0, 0, 1), Block(1, 1, 2, Partition.CHANNELS), Block(3, 3, 1)):
        assert problems(network, block, Limits(on_chip_bytes=1)) == ()


def test_limits_of_machines() -> None:
    assert machine_limits(Cpu("any", 3, l2_bytes=1024)) == Limits((1, 2, 3), None, 4)
    memories = Accelerator("any", (1, 2), 2, 1e9, 1e9, 16, 16, 4096, 8192, 1, 1e9, 1e9, 0.0, 0.0, 0.0)
    assert machine_limits(memories) == Limits((1, 2), 4096, 2)


def plan_of(network: Network, *blocks: Block) -> Plan:
    return Plan(network.graph.digest, "any", "by hand", blocks)


def test_blocks_must_hold_every_layer_once_in_order(network: Network) -> None:
    whole = [Block(0, 1, 1), Block(2, 2, 1), Block(3, 3, 1), Block(4, 4, 1)]
    check(network, plan_of(network, *whole))
    gap = plan_problems(network, plan_of(network, *whole[:1], *whole[2:]))
    assert gap == ("block 1: starts at layer 3, but the next layer in order is 2",)
    short = plan_problems(network, plan_of(network, *whole[:-1]))
    assert short == ("the blocks hold 4 layers, the network has 5",)


def test_check_lists_every_problem(network: Network) -> None:
    with pytest.raises(PlanError) as caught:
        check(network, plan_of(network, Block(0, 1, 7), Block(2, 4, 1)))
    assert "block 0: 7 cores" in str(caught.value)
    assert str(caught.value).count("block 1: layer") == 3


def test_check_refuses_a_plan_for_another_graph(network: Network) -> None:
    with pytest.raises(PlanError, match="another graph"):
        check(network, replace(plan_of(network), graph_digest="0" * 64))


def test_a_shuffle_of_channels_follows_its_operator() -> None:
    builder = GraphBuilder("shuffle")
    builder.output(builder.node(ChannelShuffle(2), [builder.input("x", (1, 4, 3, 3))]))
    shuffle = describe(builder.build())
    legal = problems(shuffle, Block(0, 0, 2, Partition.CHANNELS)) == ()
    assert legal == shuffle.layers[0].anchor.operator.splits_channels


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(networks(), st.data())
def test_random_plans_are_legal(network: Network, data: st.DataObject) -> None:
    check(network, data.draw(plans(network)))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(tiled_networks(), st.data())
def test_random_plans_with_algorithms_are_legal(network: Network, data: st.DataObject) -> None:
    check(network, data.draw(plans(network, algorithms=ALL_ALGORITHMS)), Limits(algorithms=ALL_ALGORITHMS))
