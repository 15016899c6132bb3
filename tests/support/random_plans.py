"""Random legal plans of a network."""

from collections.abc import Collection
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import Limits, offered_algorithms, problems
from dlfusion.plans.plan import Block, Partition, Plan

STEPS = (1, 1, 2, 3, 4, 7, 16, 1 << 20)

DIRECT = (str(Algorithm.DIRECT),)
ALL_ALGORITHMS = tuple(str(name) for name in Algorithm)


@st.composite
def plans(draw: DrawFn, network: Network, most_cores: int = 4, algorithms: Collection[str] = DIRECT) -> Plan:
    """Any cuts, 1 to `most_cores` cores, steps, partitions and `algorithms` that legality allows."""
    blocks: list[Block] = []
    first = 0
    while first < len(network.layers):
        last = first
        # Four in five layers are joined to the one before, so that blocks are several layers long.
        while not problems(network, Block(first, last + 1, 1)) and draw(st.integers(0, 4)):
            last += 1
        block = draw(_blocks(network, Block(first, last, 1), most_cores))
        blocks.append(replace(block, algorithms=draw(_named(network, block, algorithms))))
        first = last + 1
    plan = Plan(network.graph.digest, "any machine", "random", tuple(blocks))
    limits = Limits(algorithms=tuple(algorithms))
    assert not [found for block in blocks for found in problems(network, block, limits)]
    return plan


def _blocks(network: Network, block: Block, most_cores: int) -> st.SearchStrategy[Block]:
    """The legal variants of a block."""
    partitions = Partition if block.first == block.last else (Partition.ROWS,)
    cut = [replace(block, cores=cores, partition=way) for way in partitions for cores in range(1, most_cores + 1)]
    legal = [variant for variant in cut if not problems(network, variant)]
    return st.builds(replace, st.sampled_from(legal), step_rows=st.sampled_from(STEPS))


@st.composite
def _named(draw: DrawFn, network: Network, block: Block, algorithms: Collection[str]) -> tuple[tuple[int, str], ...]:
    """An algorithm for each layer that has a choice; layers that are computed directly are left out."""
    named = []
    for index in block.layers:
        offered = offered_algorithms(network.layers[index], algorithms)
        name = draw(st.sampled_from(offered)) if len(offered) > 1 else Algorithm.DIRECT
        if name != Algorithm.DIRECT:
            named.append((index, str(name)))
    return tuple(named)
