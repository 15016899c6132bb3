"""Proves that what cores do adds up, step by step, to what the block does, and equals counts made by hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.layers.algorithm import Algorithm, output_tile, weight_bytes, winograd_work
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import Schedule, schedule
from dlfusion.plans.traffic import arena_bytes, block_traffic, operations, row_bytes
from dlfusion.plans.work import on_chip_bytes, step_rows_of, work
from tests.support.networks import chain
from tests.support.random_networks import networks, tiled_networks
from tests.support.random_plans import ALL_ALGORITHMS, DIRECT, plans
from tests.support.row_simulation import input_rows_by_definition

thorough = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

PLENTY = 1 << 40


def schedules(data: st.DataObject, network: Network, algorithms: tuple[str, ...] = DIRECT) -> list[Schedule]:
    """The schedules of a random legal plan."""
    return [schedule(network, block) for block in data.draw(plans(network, algorithms=algorithms)).blocks]


@thorough
@given(networks(), st.data())
def test_the_cores_together_do_what_the_block_does(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        done = work(network, cut, PLENTY, element_bytes=2)
        traffic = block_traffic(network, cut, element_bytes=2)
        # `operations` rounds down once per layer.
        assert 0 <= done.operations.sum() - operations(network, cut) + 1e-6 < len(cut.flow.values) + 1
        assert done.input_bytes.sum() == traffic.input_bytes
        assert done.output_bytes.sum() == traffic.output_bytes
        copies = 1 if cut.block.partition is Partition.CHANNELS else cut.block.cores
        assert done.weight_bytes.sum() == copies * traffic.weight_bytes


@thorough
@given(networks(), st.data())
def test_each_core_does_what_its_segments_do(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        done = work(network, cut, PLENTY)
        if cut.block.partition is Partition.CHANNELS:
            continue
        for core in range(cut.block.cores):
            parts = [part for part in cut.segments if part.core == core]
            read = inner = stored = 0
            made = [0.0] * len(cut.flow.values)
            for part in parts:
                rows = input_rows_by_definition(network, cut, part)
                read += sum(count * row_bytes(network, value) for value, count in rows.items())
                for i, (value, of_layer, owned) in enumerate(
                    zip(cut.flow.values, part.produced, part.owned, strict=True)
                ):
                    layer, height = network.layers[cut.block.first + i], cut.flow.heights[i]
                    made[i] += layer.features.operations * of_layer.length / (cut.flow.images * height)
                    inner += of_layer.length * row_bytes(network, value) * bool(cut.flow.links[i])
                    stored += owned.length * row_bytes(network, value)
            assert done.operations[:, core] == pytest.approx(made)
            assert done.input_bytes[core] == read
            assert done.output_bytes[core] == stored
            assert done.inner_bytes[core] == inner
            assert done.steps[core] == sum(len(list(cut.steps(part))) for part in parts)


@thorough
@given(tiled_networks(), st.data())
def test_each_call_of_a_layer_in_tiles_computes_whole_rows_of_tiles(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network, ALL_ALGORITHMS):
        done = work(network, cut, PLENTY)
        assert done.weight_bytes.max() <= block_traffic(network, cut).weight_bytes
        for i, index in enumerate(cut.block.layers):
            layer, name = network.layers[index], cut.block.algorithm(index)
            if name == "direct" or cut.block.partition is Partition.CHANNELS:
                continue
            tile = output_tile(name)
            calls = [(part.core, rows[i].length) for part in cut.segments for rows in cut.steps(part)]
            all_rows = cut.flow.images * -(-cut.flow.heights[i] // tile)
            of_row = winograd_work(network, layer, Algorithm(name)).products / all_rows
            for core in range(cut.block.cores):
                tile_rows = sum(-(-rows // tile) for owner, rows in calls if owner == core)
                assert done.operations[i, core] == pytest.approx(tile_rows * of_row)


def test_steps_of_whole_tiles_compute_nothing_in_vain() -> None:
    net = describe(chain([(16, 3, 1)], height=24, channels=16).build())
    named = ((0, "winograd6"),)
    counted = [work(net, schedule(net, Block(0, 0, 1, step_rows=n, algorithms=named)), PLENTY) for n in (24, 6, 12, 8)]
    whole, six, twelve, eight = (float(one.operations.sum()) for one in counted)
    assert whole == six == twelve == winograd_work(net, net.layers[0], Algorithm.WINOGRAD_6).products
    assert eight == pytest.approx(1.5 * whole)  # three calls of two rows of tiles instead of four rows


def test_cores_that_share_channels_share_products_and_transformed_kernels() -> None:
    net = describe(chain([(16, 3, 1)], height=8, channels=16).build())
    done = work(net, schedule(net, Block(0, 0, 4, Partition.CHANNELS, 8, ((0, "winograd4"),))), PLENTY)
    products = winograd_work(net, net.layers[0], Algorithm.WINOGRAD_4).products
    assert done.operations.tolist() == [[products / 4] * 4]
    assert int(done.weight_bytes.sum()) == weight_bytes(net, net.layers[0], "winograd4")


@thorough
@given(networks() | tiled_networks(), st.data())
def test_steps_add_up_to_the_work_of_their_core(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network, ALL_ALGORITHMS):
        done = work(network, cut, PLENTY)
        totals = [np.zeros_like(part) for part in (done.operations, done.input_bytes, done.output_bytes, done.steps)]
        for segment in cut.segments:
            rows = step_rows_of(network, cut, segment)
            assert rows.produced.min() >= 0 <= min(rows.arrived.min(), rows.stored.min())
            assert [step.tolist() for step in rows.produced.T] == [
                [made.length for made in step] for step in cut.steps(segment)
            ]
            arrived = dict(zip(cut.flow.inputs, rows.arrived.sum(axis=1).tolist(), strict=True))
            assert {v: n for v, n in arrived.items() if n} == {
                v: n for v, n in input_rows_by_definition(network, cut, segment).items() if n
            }
            totals[0][:, segment.core] += rows.operations.sum(axis=1)
            totals[1][segment.core] += rows.input_bytes.sum()
            totals[2][segment.core] += rows.output_bytes.sum()
            totals[3][segment.core] += rows.input_bytes.size
        assert totals[0] == pytest.approx(done.operations)
        assert np.array_equal(totals[1], done.input_bytes)
        assert np.array_equal(totals[2], done.output_bytes)
        assert np.array_equal(totals[3], done.steps)


@thorough
@given(networks(), st.data())
def test_inputs_arrive_before_they_are_read(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        for segment in cut.segments:
            top = cut.segment_progress(segment)[len(cut.flow.values) :, 1:]
            for step, made in enumerate(cut.steps(segment)):
                for value, links, height, reached in zip(
                    cut.flow.inputs, cut.flow.input_links, cut.flow.input_heights, top[:, step].tolist(), strict=True
                ):
                    needed = [w.end(made[reader].end) for reader, w in links if made[reader].length]
                    assert reached >= min(max(needed, default=0), height), value


@thorough
@given(networks(), st.data())
def test_memory_on_the_chip_holds_buffers_and_the_rows_of_every_step(network: Network, data: st.DataObject) -> None:
    for cut in schedules(data, network):
        if cut.block.partition is Partition.CHANNELS:
            continue
        needed = on_chip_bytes(network, cut)
        most = 0
        for segment in cut.segments:
            rows = step_rows_of(network, cut, segment)
            most = max(most, *(2 * (rows.input_bytes + rows.output_bytes)).tolist())
        assert needed >= arena_bytes(network, cut) + most / len(cut.flow.inputs + cut.flow.outputs)
        assert on_chip_bytes(network, cut, element_bytes=1) * 4 == needed


def test_work_of_two_bands_by_hand() -> None:
    network = describe(chain([(8, 3, 1), (4, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 1, 2, step_rows=4))
    done = work(network, cut, PLENTY, element_bytes=1)
    assert done.operations.tolist() == [[9 * 16 * 2 * 8 * 9 * 8.0] * 2, [8 * 16 * 2 * 8 * 9 * 4.0] * 2]
    assert done.input_bytes.tolist() == [10 * 8 * 16] * 2
    assert done.output_bytes.tolist() == [8 * 4 * 16] * 2
    assert done.inner_bytes.tolist() == [9 * 8 * 16] * 2
    assert done.weight_bytes.tolist() == [8 * 8 * 9 + 8 + 8 * 4 * 9 + 4] * 2
    assert done.steps.tolist() == [3, 3]


def test_arrivals_and_stores_of_a_band_by_hand() -> None:
    network = describe(chain([(8, 3, 1), (4, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 1, 2, step_rows=4))
    rows = step_rows_of(network, cut, cut.segments[0])
    assert rows.produced.tolist() == [[1, 4, 4], [0, 4, 4]]
    assert rows.arrived.tolist() == [[2, 4, 4]]
    assert rows.stored.tolist() == [[0, 4, 4]]


def test_weights_that_do_not_fit_come_in_every_step() -> None:
    network = describe(chain([(8, 3, 1), (8, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 1, 2, step_rows=2))
    weights = 2 * (8 * 8 * 9 + 8) * 4
    assert work(network, cut, weights).weight_bytes.tolist() == [weights] * 2
    again = work(network, cut, weights - 1)
    assert again.weight_bytes.tolist() == (weights * again.steps).tolist()
    assert again.steps.min() > 1


def test_cores_that_share_channels_share_all_but_the_input() -> None:
    network = describe(chain([(10, 3, 1)], height=6).build())
    cut = schedule(network, Block(0, 0, 3, Partition.CHANNELS, step_rows=6))
    done = work(network, cut, PLENTY)
    channels = np.array([3, 3, 4])
    assert done.operations.tolist() == [(channels * 6 * 6 * 8 * 9 * 2).tolist()]
    assert done.weight_bytes.tolist() == (channels * (8 * 9 + 1) * 4).tolist()
    assert done.output_bytes.tolist() == (channels * 6 * 6 * 4).tolist()
    assert done.input_bytes.tolist() == [8 * 6 * 6 * 4] * 3
    assert on_chip_bytes(network, cut) == 2 * (8 + 4) * 6 * 6 * 4
    assert step_rows_of(network, cut, cut.segments[2]).output_bytes.tolist() == [4 * 6 * 6 * 4]


def test_memory_on_the_chip_by_hand() -> None:
    network = describe(chain([(8, 3, 1), (4, 3, 1)], height=16).build())
    cut = schedule(network, Block(0, 1, 1, step_rows=2))
    # Steps read 2, then 2, 2, ... rows of input: at most 4 rows from the first still read, 2 more arrive meanwhile.
    assert on_chip_bytes(network, cut, element_bytes=1) == (6 * 8 + 4 * 8 + 2 * 2 * 4) * 16


def test_an_output_that_is_also_read_inside_is_stored_once() -> None:
    builder = chain([(8, 3, 1), (4, 3, 1)], height=16)
    builder.output(builder.build().nodes[0].output)
    network = describe(builder.build())
    cut = schedule(network, Block(0, 1, 2))
    done = work(network, cut, PLENTY, element_bytes=1)
    assert done.output_bytes.tolist() == [8 * (8 + 4) * 16] * 2
    assert cut.produced.end[0].tolist() == [9, 16]
