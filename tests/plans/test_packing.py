"""Proves that plans for measuring hold every wanted block, are legal, and are as few as possible."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import check, problems
from dlfusion.plans.packing import pack
from dlfusion.plans.plan import Block, Plan
from tests.support.networks import chain
from tests.support.random_networks import networks


@pytest.fixture(scope="module")
def network() -> Network:
    return describe(chain([(2, 3, 1)] * 6, height=8, channels=2).build())


def alone(layer: int) -> Block:
    return Block(layer, layer, 1, step_rows=8)


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Network, list[Block]]:
    """A random network and legal blocks of it, in any order, some of them twice."""
    network = draw(networks())
    count = len(network.layers)
    ranges = [Block(a, b, 1, step_rows=s) for a in range(count) for b in range(a, min(a + 4, count)) for s in (1, 2)]
    legal = [block for block in ranges if not problems(network, block)]
    return network, draw(st.lists(st.sampled_from(legal), max_size=30))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(wishes())
def test_few_legal_plans_hold_every_wanted_block_once(wish: tuple[Network, list[Block]]) -> None:
    network, wanted = wish
    covers = pack(network, wanted, alone)
    for blocks in covers:
        check(network, Plan(network.graph.digest, "any", "packed", blocks))
    held = [block for blocks in covers for block in blocks]
    assert all(block in held for block in wanted)
    assert all(held.count(block) == 1 for block in wanted if block.step_rows < 8)
    meeting = [sum(layer in block.layers for block in set(wanted)) for layer in range(len(network.layers))]
    assert len(covers) == max(meeting)
    assert pack(network, wanted[::-1], alone) == covers


def test_gaps_are_filled_with_layers_alone(network: Network) -> None:
    covers = pack(network, [Block(3, 4, 2), Block(1, 1, 2)], alone)
    assert covers == ((alone(0), Block(1, 1, 2), alone(2), Block(3, 4, 2), alone(5)),)


def test_blocks_that_overlap_go_into_different_plans(network: Network) -> None:
    covers = pack(network, [Block(0, 5, 1), Block(0, 2, 1), Block(2, 3, 1), Block(3, 5, 1)], alone)
    assert covers == (
        (Block(0, 5, 1),),
        (Block(0, 2, 1), Block(3, 5, 1)),
        (alone(0), alone(1), Block(2, 3, 1), alone(4), alone(5)),
    )


def test_nothing_wanted_needs_no_plan(network: Network) -> None:
    assert pack(network, [], alone) == ()
