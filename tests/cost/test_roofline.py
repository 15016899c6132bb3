"""Proves that predictions have the parts they state, in seconds, and order plans as their assumptions say."""

from dataclasses import replace

import pytest

from dlfusion.cost.roofline import ASSUMPTIONS, block_seconds, plan_seconds
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import Machine
from dlfusion.plan.plan import Block, Partition, Plan
from dlfusion.plan.schedule import schedule
from tests.support.networks import chain

MACHINE = Machine(
    "Test CPU",
    4,
    l2_bytes=1 << 20,
    l3_bytes=16 << 20,
    peak_operations_per_second=1e11,
    l3_bytes_per_second=1e11,
    memory_bytes_per_second=1e10,
)


@pytest.fixture(scope="module")
def network() -> Network:
    return describe(chain([(64, 3, 1), (64, 3, 1)], height=64, channels=64).build())


def seconds(network: Network, block: Block, machine: Machine = MACHINE) -> float:
    return block_seconds(network, schedule(network, block), machine)


def test_a_layer_in_cache_worked_out_by_hand(network: Network) -> None:
    features = network.layers[0].features
    moved = features.input_bytes + features.output_bytes + features.weight_bytes
    expected = 1e-6 + 0.2e-6 + features.operations / 1e11 + 0.5 * moved / 1e11
    assert seconds(network, Block(0, 0, 1, step_rows=64)) == pytest.approx(expected)


def test_cores_divide_arithmetic_but_repeat_halos(network: Network) -> None:
    one = seconds(network, Block(0, 1, 1, step_rows=64))
    two = seconds(network, Block(0, 1, 2, step_rows=32))
    assert one / 2 < two < one


def test_channels_divide_the_layer_evenly(network: Network) -> None:
    one = seconds(network, Block(0, 0, 1, step_rows=64))
    four = seconds(network, Block(0, 0, 4, Partition.CHANNELS, step_rows=64))
    assert one / 4 < four < one / 3


def test_fusing_pays_where_memory_is_slow() -> None:
    big = describe(chain([(16, 3, 1)] * 3, height=512, channels=16).build())
    alone = Plan("", "", "", tuple(Block(index, index, 1, step_rows=512) for index in range(3)))
    fused = Plan("", "", "", (Block(0, 2, 1, step_rows=4),))
    assert plan_seconds(big, fused, MACHINE) < plan_seconds(big, alone, MACHINE)


def test_small_steps_pay_for_heavy_weights_again() -> None:
    heavy = describe(chain([(256, 3, 1)] * 3, height=14, channels=256).build())
    assert seconds(heavy, Block(0, 2, 1, step_rows=1)) > seconds(heavy, Block(0, 2, 1, step_rows=14))


def test_line_buffers_that_leave_the_cache_cost_transfers() -> None:
    wide = describe(chain([(64, 3, 1)] * 3, height=256, channels=64).build())
    block = Block(0, 2, 1, step_rows=64)
    assert seconds(wide, block, MACHINE) > seconds(wide, block, replace(MACHINE, l2_bytes=64 << 20))


def test_an_unknown_machine_has_the_stated_rates(network: Network) -> None:
    assert seconds(network, Block(0, 0, 1, step_rows=64), Machine("unknown", 1)) > 0
    assert all(line.endswith(".") for line in ASSUMPTIONS)
