"""Proves that every strategy makes legal plans, always the same, of the shape that its name promises."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.model import Cost, Term
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Cpu, Machine
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.legality import check
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import Schedule, schedule
from dlfusion.plans.traffic import arena_bytes
from dlfusion.search.problem import Problem
from tests.search.exhaustive import RandomCost, planned
from tests.support.networks import convolution, fsrcnn_valid, mobilenet_v2, resnet_50
from tests.support.random_networks import networks

MACHINE = Cpu("Test CPU", 4, l2_bytes=1 << 20, l3_bytes=16 << 20)
ALL = ("baseline", "all-cores", "layer-cores", "fuse-all", "fixed-block", "fixed-block:2", "fixed-block:5", "dp:3")


def problem(network: Network, cores: int, machine: Machine = MACHINE) -> Problem:
    counts = tuple(count for count in machine.core_counts if count <= cores)
    return Problem(network, machine, counts, Analytic(machine))


def plan(name: str, network: Network, cores: int, machine: Machine = MACHINE) -> Plan:
    return planned(name, problem(network, cores, machine))


@pytest.fixture(scope="module")
def classifier() -> Network:
    """Layers: 0 and 1 convolutions, 2 global pool, 3 gemm."""
    builder = GraphBuilder("classifier")
    value = convolution(builder, builder.input("image", (1, 3, 32, 32)), 16, 3)
    value = builder.node(GlobalAveragePool(), [convolution(builder, value, 16, 3)])
    builder.output(builder.node(Gemm(), [value], [np.zeros((10, 16, 1, 1)), np.zeros(10)]))
    return describe(builder.build())


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(network=networks(), cores=st.integers(1, 4))
def test_plans_are_legal_and_repeatable(name: str, network: Network, cores: int) -> None:
    made = plan(name, network, cores)
    check(network, made)
    assert made == plan(name, network, cores)
    assert max(block.cores for block in made.blocks) <= cores
    assert Plan.from_json(made.to_json()) == made
    assert made.machine == MACHINE.fingerprint
    assert all(block.reason for block in made.blocks)


def test_baseline_is_every_layer_alone_on_one_core(classifier: Network) -> None:
    assert [(b.first, b.last, b.cores) for b in plan("baseline", classifier, 4).blocks] == [
        (0, 0, 1), (1, 1, 1), (2, 2, 1), (3, 3, 1)
    ]  # fmt: skip


def test_all_cores_shares_channels_where_rows_are_few(classifier: Network) -> None:
    blocks = plan("all-cores", classifier, 4).blocks
    assert [(b.first, b.cores, b.partition) for b in blocks] == [
        (0, 4, Partition.ROWS),
        (1, 4, Partition.ROWS),
        (2, 4, Partition.CHANNELS),
        (3, 4, Partition.CHANNELS),
    ]


def test_all_cores_shares_channels_where_weights_outweigh_maps() -> None:
    builder = GraphBuilder("heavy")
    builder.output(convolution(builder, builder.input("x", (1, 256, 14, 14)), 256, 3))
    (block,) = plan("all-cores", describe(builder.build()), 2).blocks
    assert (block.cores, block.partition) == (2, Partition.CHANNELS)


def test_fuse_all_ends_blocks_only_where_it_must_and_says_why(classifier: Network) -> None:
    blocks = plan("fuse-all", classifier, 2).blocks
    assert [(b.first, b.last) for b in blocks] == [(0, 1), (2, 2), (3, 3)]
    assert blocks[0].reason == "the next layer, GlobalAveragePool, reads its whole input"
    assert blocks[1].reason == "GlobalAveragePool reads its whole input for every row"
    assert blocks[2].reason == "last layer of the network"


def test_fuse_all_does_not_leave_a_block_one_row_and_so_one_core() -> None:
    builder = GraphBuilder("pooled")
    value = convolution(builder, builder.input("x", (1, 8, 7, 7)), 8, 3)
    builder.output(builder.node(MaxPool((7, 7)), [convolution(builder, value, 8, 3)]))
    blocks = plan("fuse-all", describe(builder.build()), 2).blocks
    assert [(b.first, b.last, b.cores) for b in blocks] == [(0, 1, 2), (2, 2, 2)]


def test_cores_share_few_channels_only_where_they_make_vectors_for_all() -> None:
    builder = GraphBuilder("narrow")
    builder.output(convolution(builder, builder.input("x", (1, 8, 7, 7)), 8, 3))
    (block,) = plan("all-cores", describe(builder.build()), 2).blocks
    assert (block.cores, block.partition) == (2, Partition.ROWS)


def test_fixed_block_takes_the_length_it_is_given() -> None:
    network = describe(mobilenet_v2().build())
    blocks = plan("fixed-block:4", network, 1).blocks
    assert [len(block.layers) for block in blocks] == [4] * 12 + [3]


def test_fixed_block_can_answer_not_to_fuse() -> None:
    """Bands of 7 x 7 maps recompute more than they save."""
    builder = GraphBuilder("small maps")
    value = builder.input("x", (1, 128, 7, 7))
    for _ in range(6):
        value = convolution(builder, value, 128, 3)
    builder.output(value)
    made = plan("fixed-block", describe(builder.build()), 4)
    assert (made.strategy, {block.cores for block in made.blocks}) == ("fixed-block:1", {4})


def test_fixed_block_fuses_maps_that_leave_the_cache() -> None:
    made = plan("fixed-block", describe(fsrcnn_valid().build()), 2)
    assert len(made.blocks) <= 4


def test_steps_keep_line_buffers_in_half_of_the_cache() -> None:
    network = describe(mobilenet_v2().build())
    (block,) = (b for b in plan("fixed-block:3", network, 2).blocks if b.first == 0)
    assert arena_bytes(network, schedule(network, block)) <= (1 << 20) // 2
    taller = Block(0, 2, 2, step_rows=2 * block.step_rows)
    assert block.step_rows == 8 or arena_bytes(network, schedule(network, taller)) > (1 << 20) // 2


def test_all_lengths_and_core_counts_are_tried(classifier: Network) -> None:
    tried = set()

    @dataclass(frozen=True)
    class Equal(RandomCost):
        def block(self, network: Network, cut: Schedule) -> Cost:
            tried.add((len(cut.block.layers), cut.block.cores))
            return Cost((Term("equal", float(len(cut.flow.values))),))

    equal = replace(problem(classifier, 3), cost=Equal())
    assert planned("fixed-block", equal).strategy == "fixed-block:1"
    assert tried == set(product((1, 2), (1, 2, 3)))


def test_layer_cores_gives_each_layer_its_own_count_and_says_why(classifier: Network) -> None:
    blocks = plan("layer-cores", classifier, 4).blocks
    many, few = blocks[1], blocks[3]
    assert (many.cores, few.cores) == (4, 1)
    assert many.reason.startswith("layers alone; 4 cores are predicted to take ")
    assert many.reason.endswith(" us on 1")


@pytest.mark.parametrize("name", ALL)
def test_a_resnet_gets_a_legal_plan(name: str) -> None:
    network = describe(resnet_50().build())
    check(network, plan(name, network, 2))
