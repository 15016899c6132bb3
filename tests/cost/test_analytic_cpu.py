"""Proves that predictions for CPUs have the parts they state, in seconds, and order plans as their assumptions say."""

from dataclasses import replace

import pytest

from dlfusion.cost.analytic import Analytic
from dlfusion.cost.model import plan_seconds
from dlfusion.cost.terms import (
    CALLS,
    HALO,
    HIDDEN,
    LINE_BUFFERS,
    MAPS,
    MEMORY_ROWS,
    SORTS,
    SYNCHRONIZATION,
    WEIGHTS,
    WEIGHTS_AGAIN,
)
from dlfusion.layers.describe import describe
from dlfusion.layers.kind import Kind
from dlfusion.layers.layer import Network
from dlfusion.machine import Cpu
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import schedule
from tests.support.networks import chain

MACHINE = Cpu(
    "Test CPU",
    4,
    l2_bytes=1 << 20,
    l3_bytes=32 << 20,
    peak_operations_per_second=1e11,
    l3_bytes_per_second=1e11,
    memory_bytes_per_second=1e10,
)


@pytest.fixture(scope="module")
def network() -> Network:
    return describe(chain([(64, 3, 1), (64, 3, 1)], height=64, channels=64).build())


@pytest.fixture(scope="module")
def heavy() -> Network:
    """Weights of 2.4 MB in each layer."""
    return describe(chain([(256, 3, 1)] * 3, height=14, channels=256).build())


def terms(network: Network, block: Block, machine: Cpu = MACHINE) -> dict[str, float]:
    """The parts of a block's predicted time."""
    return {term.name: term.seconds for term in Analytic(machine).block(network, schedule(network, block)).terms}


def seconds(network: Network, block: Block, machine: Cpu = MACHINE) -> float:
    """A block's predicted time."""
    return Analytic(machine).block(network, schedule(network, block)).seconds


def test_a_layer_in_cache_worked_out_by_hand(network: Network) -> None:
    features = network.layers[0].features
    moved = features.input_bytes + features.output_bytes + features.weight_bytes
    expected = 1e-6 + 0.2e-6 + features.operations / 1e11 + 0.5 * moved / 1e11
    assert seconds(network, Block(0, 0, 1, step_rows=64)) == pytest.approx(expected)


def test_convolutions_are_as_fast_as_the_machine_says(network: Network) -> None:
    fast, slow = (terms(network, Block(0, 0, 1), replace(MACHINE, convolution_speed=by)) for by in (2.0, 1.0))
    name = str(Kind.DENSE)
    assert fast.pop(name) == pytest.approx(slow.pop(name) / 2)
    assert {**fast, HIDDEN: 0.0} == {**slow, HIDDEN: 0.0}


def test_small_maps_are_still_in_the_caches_of_the_cores(network: Network) -> None:
    """Half of the second-level caches, inputs and outputs together, is the limit."""
    features = network.layers[0].features
    maps = features.input_bytes + features.output_bytes
    below, enough = (terms(network, Block(0, 0, 1), replace(MACHINE, l2_bytes=2 * maps - by)) for by in (2, 0))
    assert below[MAPS] == pytest.approx(maps / 1e11)
    assert enough[MAPS] == pytest.approx(maps / 4e11)
    halves = terms(network, Block(0, 0, 2, Partition.CHANNELS), replace(MACHINE, l2_bytes=maps))
    assert halves[MAPS] == pytest.approx(maps / 8e11 + features.input_bytes / 2e11)


def test_maps_that_our_share_of_the_third_level_cache_cannot_hold_come_from_memory(network: Network) -> None:
    features = network.layers[0].features
    maps = features.input_bytes + features.output_bytes
    all_bytes = maps + features.weight_bytes
    near, far = (replace(MACHINE, l2_bytes=maps // 2, l3_bytes=2 * all_bytes - by) for by in (0, 4))
    assert MEMORY_ROWS not in terms(network, Block(0, 0, 1), near)
    found = terms(network, Block(0, 0, 1), far)
    assert MAPS not in found
    assert found[MEMORY_ROWS] == pytest.approx(maps / 1e10)


def test_the_parts_of_a_layer_on_two_cores_worked_out_by_hand(network: Network) -> None:
    features = network.layers[0].features
    row = features.input_bytes / 64
    found = terms(network, Block(0, 0, 2, step_rows=8))
    assert found[SYNCHRONIZATION] == pytest.approx(1e-6)
    assert found[CALLS] == pytest.approx(4 * 0.2e-6)
    assert found["dense convolution"] == pytest.approx(features.operations / 2 / 1e11)
    assert found[MAPS] == pytest.approx((features.input_bytes + 2 * row + features.output_bytes) / 2e11)
    assert found[WEIGHTS] == pytest.approx(features.weight_bytes / 2e11)
    assert found[WEIGHTS_AGAIN] == pytest.approx(features.weight_bytes / 2e11)
    transfers = found[MAPS] + found[WEIGHTS] + found[WEIGHTS_AGAIN]
    assert found[HIDDEN] == pytest.approx(-0.5 * min(transfers, found["dense convolution"] + found[CALLS]))


def test_halo_is_what_the_busiest_core_computes_beyond_its_share(network: Network) -> None:
    first = network.layers[0].features.operations
    assert HALO not in terms(network, Block(0, 1, 1, step_rows=64))
    assert HALO not in terms(network, Block(0, 0, 4, step_rows=16))
    edge, middle = terms(network, Block(0, 1, 2, step_rows=32)), terms(network, Block(0, 1, 4, step_rows=16))
    assert edge[HALO] == pytest.approx(first / 64 / 1e11)
    assert middle[HALO] == pytest.approx(2 * first / 64 / 1e11)


def test_cores_divide_arithmetic_but_repeat_halos(network: Network) -> None:
    one = seconds(network, Block(0, 1, 1, step_rows=64))
    two = seconds(network, Block(0, 1, 2, step_rows=32))
    assert one / 2 < two < one


def test_channels_divide_the_layer_and_its_weights(network: Network) -> None:
    by_channels = Block(0, 0, 4, Partition.CHANNELS, step_rows=64)
    one, four = seconds(network, Block(0, 0, 1, step_rows=64)), seconds(network, by_channels)
    assert one / 4 < four < one / 3
    assert WEIGHTS_AGAIN not in terms(network, by_channels)


@pytest.fixture(scope="module")
def tiled() -> Network:
    """A map of 64 x 64 with 64 channels."""
    return describe(chain([(64, 3, 1)] * 2, height=64, channels=64).build())


@pytest.mark.parametrize(
    ("name", "tiles", "side", "of_input", "of_sum"),
    [
        ("winograd2", 32, 4, 8 * 4 / 16, 6 * 4 / 16),
        ("winograd4", 16, 6, 12 * 12 / 36, 10 * 10 / 36),
        ("winograd6", 11, 8, 16 * 26 / 64, 14 * 22 / 64),
    ],
)
def test_a_layer_in_tiles_worked_out_by_hand(
    tiled: Network, name: str, tiles: int, side: int, of_input: float, of_sum: float
) -> None:
    found = terms(tiled, Block(0, 0, 1, step_rows=64, algorithms=((0, name),)))
    elements = tiles**2 * side**2 * 64
    products = 2 * elements * 64 * (1 + 6 / 28)  # more than 28 tiles share a weight that was fetched
    assert found[name] == pytest.approx(products / 1e11 + elements * (of_input + of_sum) / 0.25e11)
    assert "dense convolution" not in found
    kernels = 64 * 64 * side**2 * 4
    assert found[WEIGHTS] == pytest.approx((kernels + 64 * 4) / 1e11)
    direct = terms(tiled, Block(0, 0, 1, step_rows=64))
    assert {part: found[part] for part in (MAPS, CALLS)} == {part: direct[part] for part in (MAPS, CALLS)}


def test_steps_of_broken_tiles_take_longer(tiled: Network) -> None:
    def arithmetic(rows: int, cores: int = 1) -> float:
        named = ((0, "winograd4"),)
        return terms(tiled, Block(0, 0, cores, step_rows=rows, algorithms=named))["winograd4"]

    assert arithmetic(4) == pytest.approx(arithmetic(64))
    assert arithmetic(6) == pytest.approx(arithmetic(64) * (10 * 2 + 1) / 16)
    assert arithmetic(1) == pytest.approx(arithmetic(64) * 4)
    assert arithmetic(64, cores=3) == pytest.approx(arithmetic(64) * 6 / 16)  # 21 or 22 rows


def test_cores_that_share_channels_all_transform_the_inputs(tiled: Network) -> None:
    named = ((0, "winograd6"),)
    one = terms(tiled, Block(0, 0, 1, step_rows=64, algorithms=named))["winograd6"]
    four = terms(tiled, Block(0, 0, 4, Partition.CHANNELS, 64, named))["winograd6"]
    of_inputs = 11**2 * 64 * 64 * (16 * 26 / 64) / 0.25e11
    assert four == pytest.approx(of_inputs + (one - of_inputs) / 4)


def test_layers_by_different_algorithms_are_parts_of_their_own(tiled: Network) -> None:
    found = terms(tiled, Block(0, 1, 2, step_rows=32, algorithms=((0, "winograd4"),)))
    direct = terms(tiled, Block(0, 1, 2, step_rows=32))
    assert 0 < found["winograd4"] < found["dense convolution"] < direct["dense convolution"]
    # The first layer makes a row more than half of the map: a whole row of tiles.
    assert found[HALO] == pytest.approx(found["winograd4"] / 8, rel=0.1)


def test_fusing_pays_where_memory_is_slow() -> None:
    big = describe(chain([(16, 3, 1)] * 3, height=512, channels=16).build())
    alone = Plan("", "", "", tuple(Block(index, index, 1, step_rows=512) for index in range(3)))
    fused = Plan("", "", "", (Block(0, 2, 1, step_rows=4),))
    model = Analytic(MACHINE)
    assert plan_seconds(big, fused, model) < plan_seconds(big, alone, model)


def test_small_steps_pay_for_heavy_weights_again(heavy: Network) -> None:
    small, whole = Block(0, 2, 1, step_rows=1), Block(0, 2, 1, step_rows=14)
    assert terms(heavy, small)[WEIGHTS_AGAIN] > 13 * terms(heavy, small)[WEIGHTS]
    assert WEIGHTS_AGAIN not in terms(heavy, whole)
    assert seconds(heavy, small) > seconds(heavy, whole)


def test_line_buffers_that_leave_the_cache_cost_transfers() -> None:
    wide = describe(chain([(64, 3, 1)] * 3, height=256, channels=64).build())
    block = Block(0, 2, 1, step_rows=128)
    large = replace(MACHINE, l2_bytes=64 << 20)
    # The outputs of two layers, written and read: in our share of the third-level cache, or beyond it in memory.
    moved = 4 * wide.layers[0].features.output_bytes
    assert terms(wide, replace(block, step_rows=8))[LINE_BUFFERS] == pytest.approx(moved / 1e11)
    maps = wide.layers[0].features.input_bytes + wide.layers[2].features.output_bytes
    assert terms(wide, block)[MEMORY_ROWS] == pytest.approx((maps + moved) / 1e10)
    assert LINE_BUFFERS not in terms(wide, block, large)
    assert seconds(wide, block) > seconds(wide, block, large)


def test_an_unknown_machine_has_the_stated_rates(network: Network) -> None:
    unknown = Cpu("unknown", 2)
    stated = Cpu("stated", 2, (), None, 1 << 20, 16 << 20, 100e9, 80e9, 25e9)
    wide = describe(chain([(64, 3, 1)] * 3, height=256, channels=64).build())  # beyond both caches
    for model, block in ((network, Block(0, 0, 2, step_rows=64)), (wide, Block(0, 2, 2, step_rows=64))):
        assert terms(model, block, unknown) == terms(model, block, stated)
    rates = next(line for line in Analytic(unknown).assumptions if line.startswith("A rate"))
    assert "100 GFLOP/s, 80 GB/s from L3, 25 GB/s memory" in rates


def test_parts_have_names_that_models_share_and_none_is_zero(heavy: Network) -> None:
    found = terms(heavy, Block(0, 2, 4, step_rows=1))
    assert set(found) <= {*SORTS, HIDDEN}
    assert all(found.values())


def test_a_machine_of_another_type_is_refused(network: Network) -> None:
    class Other:
        name = fingerprint = "other"
        core_counts = (1,)
        element_bytes = buffer_bytes = weight_buffer_bytes = 4
        buffer_is_memory = False

    with pytest.raises(TypeError, match="no cost formulas for a machine of type Other"):
        Analytic(Other()).block(network, schedule(network, Block(0, 0, 1)))
