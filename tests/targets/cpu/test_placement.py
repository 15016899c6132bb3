"""Where line buffers lie in a core's scratch memory."""

from itertools import pairwise

import pytest

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.targets.cpu.placement import Kind, PlacedBlock
from tests.support.networks import chain
from tests.targets.cpu.test_joining import dense_block, one_block, placed


def ranges(block: PlacedBlock) -> list[tuple[int, int]]:
    """First and last float of every line buffer, in the order of the layers that write them."""
    rings = [home for home in block.homes.values() if home.kind is Kind.RING]
    return [(home.offset, home.offset + home.capacity * home.geometry.row_stride) for home in rings]


@pytest.fixture
def layers() -> Network:
    return describe(chain([(16, 3, 1)] * 5, height=24, channels=16).build())


def test_in_one_step_buffers_share_memory_by_lifetime(layers: Network) -> None:
    _, block = placed(layers, one_block(layers, 1, 24))
    found = ranges(block)
    sizes = [end - first for first, end in found]
    assert block.kernel_scratch < sum(sizes)
    assert block.kernel_scratch == max(one + two for one, two in pairwise(sizes))
    for (first, end), (next_first, next_end) in pairwise(found):
        assert end <= next_first or next_end <= first  # a layer never writes where it reads


def test_in_several_steps_no_buffer_shares_memory(layers: Network) -> None:
    _, block = placed(layers, one_block(layers, 1, 4))
    found = sorted(ranges(block))
    assert all(end <= first for (_, end), (first, _) in pairwise(found))


def test_what_lies_inside_a_concatenation_lives_as_long_as_it() -> None:
    """The joined ring is needed from its first part to its last reader, so nothing else may lie there."""
    network = dense_block((16, 32, 16, 48))
    _, block = placed(network, one_block(network, 1, 23))
    joined = block.homes["concat_2"]
    place = (joined.offset, joined.offset + joined.capacity * joined.geometry.row_stride)
    inside = [value for value, home in block.homes.items() if home.geometry == joined.geometry]
    others = [home for value, home in block.homes.items() if value not in inside and home.kind is Kind.RING]
    assert len(inside) >= 6
    for home in others:
        end = home.offset + home.capacity * home.geometry.row_stride
        assert end <= place[0] or place[1] <= home.offset
