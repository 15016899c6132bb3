"""Proves the closed form for accelerators against sums worked out by hand, and that parts move as they should."""

from dataclasses import replace

import pytest

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.terms import (
    CALLS,
    EDGE_ROWS,
    FIRST_WEIGHTS,
    HALO,
    HIDDEN,
    LAUNCH,
    MAPS,
    SYNCHRONIZATION,
    WEIGHTS,
    WEIGHTS_AGAIN,
)
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Accelerator
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from tests.support.networks import chain

MACHINE = Accelerator(
    name="toy",
    core_counts=(1, 2, 4, 8),
    element_bytes=2,
    operations_per_second=1e9,
    vector_operations_per_second=1e8,
    array_inputs=16,
    array_outputs=16,
    buffer_bytes=1 << 20,
    weight_buffer_bytes=1 << 20,
    channels=2,
    channel_bytes_per_second=1e8,
    core_bytes_per_second=5e7,
    launch_seconds=1e-5,
    synchronization_seconds=1e-6,
    tile_seconds=2e-6,
)


@pytest.fixture(scope="module")
def network() -> Network:
    return describe(chain([(32, 3, 1), (32, 3, 1), (24, 1, 1)], height=32, channels=32).build())


def terms(network: Network, block: Block, machine: Accelerator = MACHINE) -> dict[str, float]:
    """The parts of a block's predicted time."""
    return {term.name: term.seconds for term in Analytic(machine).block(network, schedule(network, block)).terms}


def seconds(network: Network, block: Block, machine: Accelerator = MACHINE) -> float:
    """A block's predicted time."""
    return sum(terms(network, block, machine).values())


def test_one_core_and_one_tile_is_a_plain_sum(network: Network) -> None:
    features = network.layers[0].features
    moved = (features.input_bytes + features.output_bytes + features.weight_bytes) / 2
    expected = 1e-5 + 1e-6 + 2e-6 + features.operations / 1e9 + moved / 5e7
    assert seconds(network, Block(0, 0, 1, step_rows=32)) == pytest.approx(expected, rel=1e-12)


def test_steps_hide_transfers_but_for_the_first_and_the_last(network: Network) -> None:
    features = network.layers[0].features
    found = terms(network, Block(0, 0, 1, step_rows=8))
    rows = (features.input_bytes + features.output_bytes) / 2 / 5e7
    assert found[CALLS] == pytest.approx(4 * 2e-6)
    assert found[EDGE_ROWS] == pytest.approx(rows / 4)
    assert found[MAPS] == pytest.approx(rows * 3 / 4)
    assert found[FIRST_WEIGHTS] == pytest.approx(features.weight_bytes / 2 / 5e7)
    assert found[HIDDEN] == pytest.approx(-found[MAPS])


def test_cores_start_one_after_the_other_and_share_channels(network: Network) -> None:
    four, eight = (terms(network, Block(0, 0, cores, step_rows=32)) for cores in (4, 8))
    weights = network.layers[0].features.weight_bytes / 2
    assert (four[LAUNCH], four[SYNCHRONIZATION]) == pytest.approx((1e-5, 4e-6))
    # Two cores of a channel take what the channel gives; four wait twice as long.
    assert four[FIRST_WEIGHTS] == pytest.approx(2 * weights / 1e8)
    assert eight[FIRST_WEIGHTS] == pytest.approx(4 * weights / 1e8)


def test_channels_are_rounded_up_to_the_array() -> None:
    odd = describe(chain([(17, 3, 1)], height=16, channels=3).build())
    operations = odd.layers[0].features.operations
    found = terms(odd, Block(0, 0, 1, step_rows=16))
    assert found["dense convolution"] == pytest.approx(operations / 1e9 * 16 / 3 * 32 / 17)


def test_a_range_of_channels_fills_the_array_less(network: Network) -> None:
    operations = network.layers[0].features.operations
    block = Block(0, 0, 4, Partition.CHANNELS, step_rows=32)
    # 8 of 32 channels per core, on an array for 16.
    assert terms(network, block)["dense convolution"] == pytest.approx(operations / 4 * 2 / 1e9)


def test_weights_are_divided_by_channels_and_repeated_by_rows(network: Network) -> None:
    by_rows = terms(network, Block(0, 0, 2, step_rows=32))
    by_channels = terms(network, Block(0, 0, 2, Partition.CHANNELS, step_rows=32))
    assert by_channels[FIRST_WEIGHTS] == pytest.approx(by_rows[FIRST_WEIGHTS] / 2)


def test_halo_grows_with_cores_and_depth(network: Network) -> None:
    two, four = (terms(network, Block(0, 1, cores, step_rows=32))[HALO] for cores in (2, 4))
    assert 0 < two < four
    assert HALO not in terms(network, Block(1, 2, 4, step_rows=32))


def test_weights_that_do_not_fit_arrive_in_every_step(network: Network) -> None:
    small = replace(MACHINE, weight_buffer_bytes=16384)
    found = terms(network, Block(0, 1, 1, step_rows=8), small)
    once = sum(layer.features.weight_bytes for layer in network.layers[:2]) / 2 / 5e7
    steps = found[WEIGHTS_AGAIN] / once + 1
    assert steps == pytest.approx(round(steps))
    assert steps >= 4
    assert found[FIRST_WEIGHTS] + found[WEIGHTS] == pytest.approx(once)
    assert found[FIRST_WEIGHTS] < once / 2
    assert WEIGHTS_AGAIN not in terms(network, Block(0, 1, 1, step_rows=8))


def test_a_layer_that_does_not_fit_is_cut_along_columns(network: Network) -> None:
    small = replace(MACHINE, buffer_bytes=1 << 16)
    block = Block(0, 0, 1, step_rows=32)
    whole, cut = terms(network, block), terms(network, block, small)
    pieces = cut[CALLS] / whole[CALLS]
    assert pieces >= 3
    assert cut[EDGE_ROWS] == pytest.approx(whole[EDGE_ROWS] / pieces)


def test_a_cluster_memory_fetches_weights_once(network: Network) -> None:
    clusters = replace(MACHINE, cluster_cores=4, cluster_memory_bytes=1 << 20, cluster_bytes_per_second=1e10)
    block = Block(0, 0, 8, step_rows=32)
    weights = network.layers[0].features.weight_bytes / 2
    # One fetch for each of two clusters, each on a channel of its own; the cores' ports are slower than that.
    assert terms(network, block, clusters)[FIRST_WEIGHTS] == pytest.approx(weights / 5e7)
    slow = replace(clusters, cluster_bytes_per_second=1e7)
    assert terms(network, block, slow)[FIRST_WEIGHTS] == pytest.approx(4 * weights / 1e7)


def test_weights_kept_in_a_cluster_spare_the_channels(network: Network) -> None:
    tight = replace(
        MACHINE,
        weight_buffer_bytes=16384,
        cluster_cores=4,
        cluster_memory_bytes=1 << 20,
        cluster_bytes_per_second=1e10,
        core_bytes_per_second=1e9,
    )
    block = Block(0, 1, 8, step_rows=2)
    kept, lost = (terms(network, block, replace(tight, cluster_memory_bytes=size)) for size in (1 << 20, 1 << 10))
    # The channels, which have the rows to move, are the busiest part; weights do not come through them again.
    assert WEIGHTS_AGAIN not in kept
    assert sum(kept.values()) < sum(lost.values())


@pytest.mark.parametrize("rate", ["operations_per_second", "channel_bytes_per_second", "core_bytes_per_second"])
def test_a_faster_part_never_costs_time(network: Network, rate: str) -> None:
    faster = replace(MACHINE, **{rate: 2 * getattr(MACHINE, rate)})
    for block in (Block(0, 0, 1, step_rows=4), Block(0, 2, 8, step_rows=2), Block(0, 0, 4, Partition.CHANNELS, 32)):
        assert seconds(network, block, faster) <= seconds(network, block)
