"""Random legal plans of a network."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from dlfusion.layers.layer import Network
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition, Plan

STEPS = (1, 1, 2, 3, 4, 7, 16, 1 << 20)


@st.composite
def plans(draw: DrawFn, network: Network, most_cores: int = 4) -> Plan:
    """Any cuts, 1 to `most_cores` cores, steps and partitions that legality allows."""
    blocks: list[Block] = []
    first = 0
    while first < len(network.layers):
        last = first
        # Four in five layers are joined to the one before, so that blocks are several layers long.
        while not problems(network, Block(first, last + 1, 1)) and draw(st.integers(0, 4)):
            last += 1
        blocks.append(draw(_blocks(network, Block(first, last, 1), most_cores)))
        first = last + 1
    return Plan(network.graph.digest, "any machine", "random", tuple(blocks))


def _blocks(network: Network, block: Block, most_cores: int) -> st.SearchStrategy[Block]:
    """The legal variants of a block."""
    partitions = Partition if block.first == block.last else (Partition.ROWS,)
    cut = [replace(block, cores=cores, partition=way) for way in partitions for cores in range(1, most_cores + 1)]
    legal = [variant for variant in cut if not problems(network, variant)]
    return st.builds(replace, st.sampled_from(legal), step_rows=st.sampled_from(STEPS))
