"""Proves that `candidates` are all legal blocks of a range, each once, and that ranges are ruled out rightly."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.plans.structure import structure
from dlfusion.plans.work import on_chip_bytes
from dlfusion.search.blocks import steps
from dlfusion.search.candidates import can_be_block, candidates, cuts, least_on_chip_bytes
from dlfusion.search.contract import toy_accelerator, toy_cpu, toy_problem, toy_problems
from dlfusion.search.problem import Problem
from tests.search.exhaustive import legal_blocks
from tests.support.networks import chain
from tests.support.random_networks import networks, tiled_networks
from tests.support.random_plans import ALL_ALGORITHMS, plans

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@settings(COMMON, max_examples=12)
@given(network=networks(6), size=st.sampled_from((16, 60, 200, None)))
def test_candidates_are_all_that_legality_allows(network: Network, size: int | None) -> None:
    machine = toy_cpu() if size is None else replace(toy_accelerator(), buffer_bytes=size)
    _check_candidates(toy_problem(network, machine))


@settings(COMMON, max_examples=12)
@given(network=tiled_networks(4))
def test_candidates_with_algorithms_are_all_that_legality_allows(network: Network) -> None:
    _check_candidates(toy_problem(network, toy_cpu(), ALL_ALGORITHMS))


def _check_candidates(problem: Problem) -> None:
    network = problem.network
    for last in range(len(network.layers)):
        for first in range(last + 1):
            made = candidates(problem, first, last)
            assert len(set(made)) == len(made)
            assert not [block for block in made if problems(network, block, problem.limits)]
            # Steps beyond a band differ in nothing from the whole map.
            expected = {_whole_band(network, block) for block in legal_blocks(problem, first, last)}
            assert {_whole_band(network, block) for block in made} == expected
            assert tuple(cut.block for cut in cuts(problem, first, last)) == made


def _whole_band(network: Network, block: Block) -> Block:
    cut = schedule(network, block)
    longest = max(segment.end - segment.first for segment in cut.segments)
    return replace(block, step_rows=min(block.step_rows, longest))


@settings(COMMON, max_examples=100)
@given(data=st.data(), network=networks())
def test_no_block_holds_less_on_the_chip_than_its_range_needs(data: st.DataObject, network: Network) -> None:
    problem = toy_problem(network, toy_accelerator())
    for block in data.draw(plans(network)).blocks:
        if block.partition is Partition.ROWS:
            needed = on_chip_bytes(network, schedule(network, block), problem.limits.element_bytes)
            for last in block.layers:
                assert least_on_chip_bytes(problem, block.first, last) <= needed


@settings(COMMON, max_examples=30)
@given(network=networks(8), size=st.sampled_from((16, 60, 200)))
def test_a_range_that_is_ruled_out_rules_out_all_longer_ones(network: Network, size: int) -> None:
    problem = toy_problem(network, replace(toy_accelerator(), buffer_bytes=size))
    for first in range(len(network.layers)):
        ruled_out = [not can_be_block(problem, first, last) for last in range(first, len(network.layers))]
        assert ruled_out == sorted(ruled_out)


def test_a_layer_alone_has_every_algorithm_and_longer_blocks_the_chosen_ones_or_none() -> None:
    network = describe(chain([(16, 3, 1), (16, 1, 1), (16, 3, 1)], height=24, channels=16).build())
    problem = toy_problem(network, toy_cpu(), ALL_ALGORITHMS)
    assert {block.algorithms for block in candidates(problem, 0, 0)} == {
        (),
        *(((0, name),) for name in ("winograd2", "winograd4", "winograd6")),
    }
    assert {block.algorithms for block in candidates(problem, 1, 1)} == {()}  # 1x1
    preferring = replace(problem, preferred=("winograd6", "direct", "winograd4"))
    named = ((0, "winograd6"), (2, "winograd4"))
    assert {block.algorithms for block in candidates(preferring, 0, 2)} == {(), named}
    of_tiles = [block.step_rows for block in candidates(preferring, 0, 2) if block.cores == 1 and block.algorithms]
    assert of_tiles == [1, 2, 4, 8, 12, 16, 24]
    exact = replace(preferring, algorithms=("direct",), preferred=())
    assert {block.algorithms for block in candidates(exact, 0, 2)} == {()}


def test_steps_are_powers_of_two_below_the_band_and_the_whole_map() -> None:
    problem = toy_problems()[0]
    assert [block.step_rows for block in candidates(problem, 0, 1) if block.cores == 3] == [1, 2, 4, 20]
    assert [block.step_rows for block in candidates(problem, 0, 1) if block.cores == 1] == [1, 2, 4, 8, 16, 20]
    flow = schedule(problem.network, Block(0, 0, 1)).flow
    assert steps(flow, 20) == (20,)
    assert steps(flow, 3, Partition.CHANNELS) == (1, 2, 4, 8, 16, 20)


def test_candidates_of_one_range_differ_in_structure() -> None:
    problem = toy_problems()[1]
    made = candidates(problem, 0, 2)
    assert len({structure(problem.network, block) for block in made}) == len(made)
