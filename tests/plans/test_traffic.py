"""Proves traffic, recomputation and buffer sizes on blocks small enough to count by hand."""

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.ops.add import Add
from dlfusion.ops.window import IDENTITY, Window, everything, sliding
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.plans.traffic import (
    arena_bytes,
    block_traffic,
    carried_rows,
    halo_operations,
    operations,
    produced_rows,
    recompute_ratio,
)
from tests.support.networks import chain, convolution


def test_two_bands_read_the_rows_at_their_edge_twice() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)], height=16).build())
    one, two = (block_traffic(network, schedule(network, Block(0, 1, cores))) for cores in (1, 2))
    row = 8 * 16 * 4
    assert (one.input_bytes, one.output_bytes) == (16 * row, 16 * row)
    assert two.input_bytes == (10 + 10) * row
    assert two.output_bytes == one.output_bytes
    assert one.weight_bytes == 2 * (8 * 8 * 9 + 8) * 4
    assert one.total_bytes == one.map_bytes + one.weight_bytes == 32 * row + one.weight_bytes


def test_halo_rows_are_the_only_recomputed_operations() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 1, 2))
    row_operations = 2 * 8 * 8 * 9 * 16
    assert produced_rows(cut) == (18, 16)
    assert operations(network, cut) == 34 * row_operations
    assert halo_operations(network, cut) == 2 * row_operations
    assert recompute_ratio(network, cut) == 34 / 32


def test_cores_that_share_channels_recompute_nothing_but_all_read_the_input() -> None:
    network = describe(chain([(8, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 0, 4, Partition.CHANNELS))
    assert recompute_ratio(network, cut) == 1
    assert block_traffic(network, cut).input_bytes == 4 * network.layers[0].features.input_bytes


def test_an_input_that_two_layers_read_moves_once() -> None:
    builder = GraphBuilder("fork")
    value = builder.input("x", (1, 2, 8, 4))
    left = convolution(builder, value, 2, 3)
    builder.output(builder.node(Add(), [convolution(builder, left, 2, 3), value]))
    network = describe(builder.build())
    traffic = block_traffic(network, schedule(network, Block(0, 1, 1)), element_bytes=2)
    assert traffic.map_bytes == 2 * 2 * 8 * 4 * 2


def test_the_arena_is_the_sum_of_the_rings() -> None:
    network = describe(chain([(8, 3, 1), (4, 3, 1), (8, 3, 1)], height=16).build())
    assert arena_bytes(network, schedule(network, Block(0, 2, 1)), element_bytes=1) == 3 * 8 * 16 + 3 * 4 * 16


def test_rows_carried_from_one_output_row_to_the_next() -> None:
    assert carried_rows(IDENTITY) == 0
    assert carried_rows(sliding(1, 3, 1, 1)) == 2
    assert carried_rows(sliding(2, 3, 1, 1)) == 1
    assert carried_rows(sliding(2, 2, 1, 0)) == 0
    assert carried_rows(sliding(3, 1, 1, 0)) == 0
    assert carried_rows(sliding(1, 3, 4, 4)) == 8
    assert carried_rows(everything(7)) == 7
    # Doubling by repetition: both halves of a pair read one row.
    assert carried_rows(Window(1, 0, 0, 2)) == 1
