"""Proves that schedules are right by running them row by row on random networks, and minimal where they say so."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import NO_ROWS, Schedule, Segment, schedule
from dlfusion.plans.traffic import halo_operations, produced_rows, recompute_ratio
from tests.support.networks import chain, resnet_50, vgg_head
from tests.support.random_networks import networks
from tests.support.random_plans import plans
from tests.support.row_simulation import ScheduleError, simulate, targets_by_definition

thorough = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def schedules(data: st.DataObject, network: Network) -> list[Schedule]:
    """The schedules of a random legal plan."""
    return [schedule(network, block) for block in data.draw(plans(network)).blocks]


@thorough
@given(networks(), st.data())
def test_no_row_is_read_before_it_is_made_or_after_it_is_overwritten(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        simulate(network, cut, cut.ring_rows)


@thorough
@given(networks(), st.data())
def test_every_row_of_every_output_is_stored_once(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        stored = simulate(network, cut, cut.ring_rows)
        copies = cut.block.cores if cut.block.partition is Partition.CHANNELS else 1
        for value in cut.flow.outputs:
            images, _, height, _ = network.shape(value)
            expected = {(value, image, row) for image in range(images) for row in range(height)}
            assert {key for key in stored if key[0] == value} == expected
        assert set(stored.values()) <= {copies}


@thorough
@given(networks(), st.data())
def test_line_buffers_cannot_be_shorter(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        for value, rows in cut.ring_rows.items():
            if rows > 1:
                with pytest.raises(ScheduleError):
                    simulate(network, cut, {**cut.ring_rows, value: rows - 1})


@thorough
@given(networks(), st.data())
def test_steps_follow_the_stated_recurrence_and_end_complete(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        for segment in cut.segments:
            steps = list(cut.steps(segment))
            assert [[tuple(rows) for rows in step] for step in steps] == targets_by_definition(cut, segment)
            assert tuple(rows.end for rows in steps[-1]) == tuple(rows.end for rows in segment.produced)


@thorough
@given(networks(), st.data())
def test_bands_cover_the_reference_output_once_and_evenly(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        if cut.block.partition is Partition.ROWS:
            by_core = [0] * cut.block.cores
            for segment in cut.segments:
                by_core[segment.core] += segment.end - segment.first
            assert sum(by_core) == cut.flow.reference_rows
            assert max(by_core) - min(by_core) <= 1


@thorough
@given(networks(), st.data())
def test_one_core_computes_no_row_twice_and_all_that_more_cores_compute(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        alone = schedule(network, Block(cut.block.first, cut.block.last, 1, step_rows=cut.block.step_rows))
        once = computed(alone)
        assert len(once) == len(set(once))
        assert set(computed(cut)) <= set(once)
        assert halo_operations(network, alone) <= 0 <= recompute_ratio(network, alone) <= 1


def computed(cut: Schedule) -> list[tuple[int, int, int]]:
    """(layer, image, row) of every row that is computed."""
    return [
        (i, segment.image, row)
        for segment in cut.segments
        for i, rows in enumerate(segment.produced)
        for row in range(*rows)
    ]


def middle(cut: Schedule) -> Segment:
    return cut.segments[len(cut.segments) // 2]


def test_halo_rows_and_ring_of_a_chain_worked_out_by_hand() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1), (8, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 2, 2))
    assert [tuple(rows) for rows in cut.segments[0].produced] == [(0, 10), (0, 9), (0, 8)]
    assert [tuple(rows) for rows in cut.segments[1].produced] == [(6, 16), (7, 16), (8, 16)]
    assert produced_rows(cut) == (20, 18, 16)
    assert list(cut.ring_rows.values()) == [3, 3]
    assert [segment.lead for segment in cut.segments] == [2, 4]


def test_a_strided_layer_reads_two_rows_per_step() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 2)], height=16).build())
    cut = schedule(network, Block(0, 1, 1))
    steps = [tuple(step[0]) for step in cut.steps(cut.segments[0])]
    assert steps == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14), (14, 16)]
    assert cut.ring_rows == {"Conv_0": 3}


def test_the_ramp_up_spares_the_first_step_the_halo() -> None:
    network = describe(vgg_head().build())
    cut = schedule(network, Block(0, 6, 4, step_rows=1))
    segment = middle(cut)
    assert segment.lead > 0
    most = max(step[0].length for step in cut.steps(segment))
    assert most == 4
    assert segment.produced[0].length > 4 * (segment.end - segment.first)


def test_a_whole_band_per_step_is_one_step() -> None:
    network = describe(vgg_head().build())
    cut = schedule(network, Block(0, 6, 2, step_rows=28))
    assert [len(list(cut.steps(segment))) for segment in cut.segments] == [1, 1]


def test_channels_are_cut_over_all_rows() -> None:
    network = describe(chain([(8, 3, 1)], height=9).build())
    cut = schedule(network, Block(0, 0, 3, Partition.CHANNELS))
    assert [(part.core, part.first, part.end) for part in cut.segments] == [(0, 0, 9), (1, 0, 9), (2, 0, 9)]
    assert produced_rows(cut) == (9,)


def test_images_share_no_halo() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)], height=8, images=2).build())
    cut = schedule(network, Block(0, 1, 2))
    assert [(part.core, part.image, part.first, part.end) for part in cut.segments] == [(0, 0, 0, 8), (1, 1, 0, 8)]
    assert produced_rows(cut) == (16, 16)


def test_what_is_no_output_owns_nothing() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)]).build())
    assert schedule(network, Block(0, 1, 1)).segments[0].owned[0] == NO_ROWS


def test_a_whole_resnet_is_one_block() -> None:
    network = describe(resnet_50().build())
    cut = schedule(network, Block(0, len(network.layers) - 1, 2))
    assert len(cut.ring_rows) == len(network.layers) - 1


def test_schedules_that_share_rows_cannot_change_them() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)]).build())
    one, two = (schedule(network, Block(0, 1, 2, step_rows=step)) for step in (1, 4))
    assert one.produced is two.produced
    with pytest.raises(ValueError, match="read-only"):
        one.produced.first[0, 0] = 1
