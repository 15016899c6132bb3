"""Proves the simulator by hand-computed times, and by laws that hold for all networks, plans and machines."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.ops.concat import Concat
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.plans.work import work
from dlfusion.targets.simulated.simulator import Simulation, simulate
from tests.support.networks import chain, convolution, relu
from tests.support.random_networks import networks
from tests.support.random_plans import plans
from tests.targets.simulated.toy import CLUSTERS, FREE_START, TOY, toy

WHOLE = 1 << 20
"""Rows of a step that is never smaller than a band."""

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one_convolution(channels: int, outputs: int, kernel: int = 1, height: int = 8, groups: int = 1) -> Network:
    builder = GraphBuilder("one")
    value = builder.input("image", (1, channels, height, 8))
    builder.output(convolution(builder, value, outputs, kernel, groups=groups))
    return describe(builder.build())


@st.composite
def machines(draw: st.DrawFn) -> Accelerator:
    """Machines on which each of the parts may be the slow one; with or without cluster memories."""
    magnitude = st.sampled_from((0.1, 1.0, 10.0))
    changes: dict[str, Any] = draw(st.sampled_from(({}, CLUSTERS, {**CLUSTERS, "cluster_memory_bytes": 8})))
    return toy(
        operations_per_second=1e6 * draw(magnitude),
        vector_operations_per_second=1e6 * draw(magnitude),
        channel_bytes_per_second=1e6 * draw(magnitude),
        core_bytes_per_second=1e6 * draw(magnitude),
        weight_buffer_bytes=draw(st.sampled_from((8, 64, 1 << 20))),
        buffer_bytes=draw(st.sampled_from((64, 1 << 20))),
        channels=draw(st.integers(1, 4)),
        tile_seconds=draw(st.sampled_from((0.0, 1e-5))),
        **changes,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Network, Plan, Accelerator]:
    network = draw(networks(most_nodes=8))
    return network, draw(plans(network)), draw(machines())


def all_simulations(network: Network, plan: Plan, machine: Accelerator) -> list[Simulation]:
    return [simulate(network, block, machine) for block in plan.blocks]


# --- by hand -----------------------------------------------------------------------------------------------------


def test_one_core_and_one_tile_is_the_sum_of_its_parts() -> None:
    network = one_convolution(8, 8)
    result = simulate(network, Block(0, 0, 1, step_rows=WHOLE), TOY)
    moved_bytes = 2 * (8 * 64 + 8 * 8 + 8 + 8 * 64)  # input, weights, bias, output
    operations = 2 * 8 * 64 * 8
    expected = 1e-3 + 1e-4 + moved_bytes / 5e5 + operations / 1e9 + 1e-5
    assert result.tiles == 1
    assert result.seconds == pytest.approx(expected, rel=1e-12)


def test_arithmetic_hides_transfers_between_the_first_load_and_the_last_store() -> None:
    machine = toy(**FREE_START, operations_per_second=1e5, channel_bytes_per_second=1e6, core_bytes_per_second=1e6)
    result = simulate(one_convolution(8, 8), Block(0, 0, 1, step_rows=2), machine)
    first_load = (2 * 8 * 16 + 2 * (8 * 8 + 8)) / 1e6
    step = 2 * 8 * 16 * 8 / 1e5 + 1e-5
    assert result.tiles == 4
    assert result.seconds == pytest.approx(first_load + 4 * step + 2 * 8 * 16 / 1e6, rel=1e-12)


def test_transfers_hide_arithmetic_when_they_take_longer() -> None:
    machine = toy(**FREE_START, operations_per_second=1e9, core_bytes_per_second=1e6)
    result = simulate(one_convolution(8, 8), Block(0, 0, 1, step_rows=2), machine)
    moved_bytes = 2 * (8 * 64 + 8 * 8 + 8 + 8 * 64)
    # While the last tile is computed, the results of the tile before it are still being stored.
    assert result.seconds == pytest.approx(moved_bytes / 1e6, rel=1e-12)
    assert result.channel_busy_seconds[0] == pytest.approx(moved_bytes / 1e6)
    assert result.channel_busy_seconds[1] == 0


@pytest.mark.parametrize(("channels", "slowdown"), [(2, 1.0), (1, 2.0)])
def test_cores_on_one_channel_share_it(channels: int, slowdown: float) -> None:
    """Two cores that are bound by memory: with a channel each they take as long as one core for half of the map."""
    machine = toy(
        **FREE_START, operations_per_second=1e12, tile_seconds=0.0, channels=channels, core_bytes_per_second=1e9
    )
    network = one_convolution(8, 8)
    half = simulate(one_convolution(8, 8, height=4), Block(0, 0, 1, step_rows=1), machine)
    both = simulate(network, Block(0, 0, 2, step_rows=1), machine)
    assert both.seconds == pytest.approx(half.seconds * slowdown, rel=0.01)


def test_a_core_takes_no_more_than_its_port() -> None:
    network, block = one_convolution(8, 8), Block(0, 0, 1, step_rows=WHOLE)
    narrow = simulate(network, block, toy(core_bytes_per_second=1e5))
    wide = simulate(network, block, toy(core_bytes_per_second=1e9))
    moved_bytes = 2 * (8 * 64 + 8 * 8 + 8 + 8 * 64)
    assert narrow.seconds - wide.seconds == pytest.approx(moved_bytes * (1 / 1e5 - 1 / 1e6))


def test_cores_start_together_after_launch_and_one_synchronization_each() -> None:
    result = simulate(one_convolution(8, 8), Block(0, 0, 4), toy(synchronization_seconds=2e-3))
    assert result.start_seconds == pytest.approx(1e-3 + 4 * 2e-3)


# --- arithmetic --------------------------------------------------------------------------------------------------


def busy_seconds(network: Network, block: Block | None = None, **changes: Any) -> float:
    machine = toy(tile_seconds=0.0, **changes)
    return sum(simulate(network, block or Block(0, 0, 1, step_rows=WHOLE), machine).core_busy_seconds)


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "stretch"),
    [(8, 8, 1, 1.0), (3, 8, 1, 4 / 3), (8, 5, 1, 8 / 5), (3, 5, 1, 4 / 3 * 8 / 5), (8, 8, 4, 2 * 2)],
)
def test_channels_of_a_group_are_rounded_up_to_the_array(
    channels: int, outputs: int, groups: int, stretch: float
) -> None:
    operations = 2 * outputs * 64 * 9 * channels / groups
    network = one_convolution(channels, outputs, kernel=3, groups=groups)
    assert busy_seconds(network) == pytest.approx(operations * stretch / 1e9)


def test_a_depthwise_convolution_runs_on_the_vector_unit() -> None:
    assert busy_seconds(one_convolution(8, 8, kernel=3, groups=8)) == pytest.approx(2 * 8 * 64 * 9 / 1e8)


def test_an_epilogue_costs_only_what_it_takes_longer_than_the_array() -> None:
    builder = GraphBuilder("relu")
    builder.output(relu(builder, convolution(builder, builder.input("image", (1, 8, 8, 8)), 8, 1)))
    network = describe(builder.build())
    assert len(network.layers) == 1
    assert busy_seconds(network, vector_operations_per_second=1e9) == pytest.approx(2 * 8 * 64 * 8 / 1e9)
    assert busy_seconds(network, vector_operations_per_second=1e6) == pytest.approx(8 * 64 / 1e6)


def test_moving_data_is_not_free() -> None:
    builder = GraphBuilder("concat")
    value = builder.input("image", (1, 8, 8, 8))
    builder.output(builder.node(Concat(), [value, builder.node(MaxPool((1, 1), (1, 1)), [value])]))
    network = describe(builder.build())
    assert network.layers[1].features.operations == 0
    assert busy_seconds(network, Block(1, 1, 1, step_rows=WHOLE)) == pytest.approx(16 * 64 / 1e8)


def test_with_the_channels_partition_a_core_rounds_up_its_own_channels() -> None:
    network = one_convolution(8, 10)
    seconds = simulate(network, Block(0, 0, 2, Partition.CHANNELS, WHOLE), toy(tile_seconds=0.0)).core_busy_seconds
    assert seconds == pytest.approx((2 * 8 * 64 * 8 / 1e9,) * 2)


# --- weights, columns, clusters ----------------------------------------------------------------------------------


def test_weights_that_do_not_fit_come_in_every_step_in_slices_that_hide_behind_arithmetic() -> None:
    network, block = one_convolution(8, 8), Block(0, 0, 1, step_rows=2)
    weights = 2 * (8 * 8 + 8)
    kept = simulate(network, block, TOY)
    streamed = simulate(network, block, toy(weight_buffer_bytes=weights - 1))
    assert kept.channel_weight_bytes == pytest.approx((weights, 0))
    assert streamed.channel_weight_bytes == pytest.approx((4 * weights, 0))
    assert (kept.tiles, streamed.tiles) == (4, 4 * 3)
    assert streamed.core_busy_seconds[0] - kept.core_busy_seconds[0] == pytest.approx(8 * TOY.tile_seconds)


def test_a_layer_alone_that_does_not_fit_is_cut_along_columns() -> None:
    network, block = one_convolution(8, 8), Block(0, 0, 1, step_rows=WHOLE)
    whole = simulate(network, block, toy(**FREE_START))
    cut = simulate(network, block, toy(**FREE_START, buffer_bytes=1 << 10))
    assert (whole.tiles, cut.tiles) == (1, 4)  # twice the input and twice the output, 1 KiB each
    assert cut.channel_input_bytes == whole.channel_input_bytes
    assert cut.channel_output_bytes == whole.channel_output_bytes
    assert cut.core_operations == whole.core_operations


@pytest.mark.parametrize(("memory", "times"), [(1 << 20, 1), (16, 4)])
def test_a_cluster_fetches_weights_once_for_all_of_its_cores(memory: int, times: int) -> None:
    network, block = one_convolution(8, 8), Block(0, 0, 4, step_rows=1)
    weights = 2 * (8 * 8 + 8)
    steps = 2
    machine = toy(**{**CLUSTERS, "cluster_memory_bytes": memory}, weight_buffer_bytes=32)
    result = simulate(network, block, machine)
    fetched = weights if times == 1 else weights * steps
    assert result.channel_weight_bytes == pytest.approx((fetched, fetched))
    assert result.core_weight_bytes == pytest.approx((weights * steps,) * 4)
    alone = simulate(network, block, toy(weight_buffer_bytes=32))
    assert alone.channel_weight_bytes == pytest.approx((2 * weights * steps,) * 2)


def test_cores_with_channels_of_their_own_share_no_weights() -> None:
    network, block = one_convolution(8, 8), Block(0, 0, 4, Partition.CHANNELS, WHOLE)
    result = simulate(network, block, toy(**CLUSTERS))
    assert sum(result.channel_weight_bytes) == 2 * (8 * 8 + 8)


# --- laws --------------------------------------------------------------------------------------------------------


@quick
@given(cases())
def test_every_byte_and_operation_is_served_once(case: tuple[Network, Plan, Accelerator]) -> None:
    network, plan, machine = case
    for block, result in zip(plan.blocks, all_simulations(network, plan, machine), strict=True):
        counted = work(network, schedule(network, block), machine.weight_buffer_bytes, machine.element_bytes)
        cores = np.arange(block.cores) % machine.channels

        def by_channel(of_cores: Any, cores: Any = cores) -> Any:
            return np.bincount(cores, weights=of_cores, minlength=machine.channels)

        np.testing.assert_allclose(result.core_operations, counted.operations.sum(axis=0), rtol=1e-9)
        np.testing.assert_allclose(result.channel_input_bytes, by_channel(counted.input_bytes), rtol=1e-9)
        np.testing.assert_allclose(result.channel_output_bytes, by_channel(counted.output_bytes), rtol=1e-9)
        np.testing.assert_allclose(result.core_weight_bytes, counted.weight_bytes, rtol=1e-9)
        if machine.cluster_cores == 1 or block.partition is Partition.CHANNELS:
            np.testing.assert_allclose(result.channel_weight_bytes, by_channel(counted.weight_bytes), rtol=1e-9)
        else:
            # What any core of a cluster receives comes through a channel once for all of them: of a kept slice the
            # first time, else in each step of the core with the most steps.
            once = work(network, schedule(network, block), 1 << 40, machine.element_bytes).weight_bytes[0]
            kept = once <= max(machine.weight_buffer_bytes, machine.cluster_memory_bytes)
            steps = [1 if kept else int(part.max()) for part in _by_cluster(counted.steps, machine)]
            np.testing.assert_allclose(sum(result.channel_weight_bytes), once * sum(steps), rtol=1e-9)


def _by_cluster(of_cores: Any, machine: Accelerator) -> list[Any]:
    return [of_cores[i : i + machine.cluster_cores] for i in range(0, len(of_cores), machine.cluster_cores)]


@quick
@given(cases())
def test_no_block_is_faster_than_its_busiest_part(case: tuple[Network, Plan, Accelerator]) -> None:
    network, plan, machine = case
    units = machine.operations_per_second + machine.vector_operations_per_second
    for block, result in zip(plan.blocks, all_simulations(network, plan, machine), strict=True):
        seconds = (result.seconds - result.start_seconds) * (1 + 1e-9)
        operations = sum(result.core_operations)
        moved = sum(result.channel_input_bytes) + sum(result.channel_output_bytes) + sum(result.channel_weight_bytes)
        assert seconds >= operations / (block.cores * units)
        assert seconds >= moved / (machine.channels * machine.channel_bytes_per_second)
        assert seconds >= max(result.core_busy_seconds)
        assert seconds >= max(result.channel_busy_seconds)


RATES = (
    "operations_per_second",
    "vector_operations_per_second",
    "channel_bytes_per_second",
    "core_bytes_per_second",
    "cluster_bytes_per_second",
)


@quick
@given(cases(), st.sampled_from(RATES), st.sampled_from((1.001, 1.5, 2.0, 100.0)))
def test_a_faster_part_never_hurts(case: tuple[Network, Plan, Accelerator], rate: str, factor: float) -> None:
    network, plan, machine = case
    changes: dict[str, Any] = {rate: getattr(machine, rate) * factor}
    faster = replace(machine, **changes)
    before, after = all_simulations(network, plan, machine), all_simulations(network, plan, faster)
    for slow, quicker in zip(before, after, strict=True):
        assert quicker.seconds <= slow.seconds * (1 + 1e-9)


@quick
@given(
    st.integers(1, 40), st.sampled_from((1, 2, 3, WHOLE)), st.sampled_from(Partition), st.sampled_from((64, 1 << 20))
)
def test_more_cores_never_hurt_where_they_only_divide_the_work(
    height: int, step: int, partition: Partition, weight_buffer: int
) -> None:
    """A layer without halo, cores with a channel each, and nothing to pay for a start."""
    network = one_convolution(8, 12, height=height)
    machine = toy(**FREE_START, channels=4, weight_buffer_bytes=weight_buffer)
    seconds = [
        simulate(network, Block(0, 0, cores, partition, step), machine).seconds
        for cores in range(1, min(4, height) + 1)
    ]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(seconds))


@quick
@given(cases())
def test_the_same_block_takes_the_same_time(case: tuple[Network, Plan, Accelerator]) -> None:
    network, plan, machine = case
    assert all_simulations(network, plan, machine) == all_simulations(network, plan, machine)


def test_a_deeper_block_saves_traffic_and_computes_its_halo_again() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)]).build())
    apart = [simulate(network, Block(i, i, 4, step_rows=2), TOY) for i in (0, 1)]
    fused = simulate(network, Block(0, 1, 4, step_rows=2), TOY)
    assert sum(fused.channel_output_bytes) == sum(apart[1].channel_output_bytes)
    assert sum(fused.channel_input_bytes) < sum(sum(part.channel_input_bytes) for part in apart)
    assert sum(fused.core_operations) > sum(sum(part.core_operations) for part in apart)
