"""The choice of register blocks: it covers every shape, and it prefers what was measured to be fast."""

from hypothesis import given
from hypothesis import strategies as st

from dlfusion.targets.cpu.isa import AVX2, AVX512, NEON, Isa
from dlfusion.targets.cpu.kernels import planar_blocks, register_blocks

isas = st.sampled_from([AVX512, AVX2, NEON])


@given(st.integers(1, 130), st.integers(1, 300), st.integers(1, 300), st.integers(1, 5000), isas)
def test_segments_and_groups_cover_the_output(units: int, height: int, width: int, steps: int, isa: Isa) -> None:
    block = register_blocks.choose(units, height, width, steps, isa)
    segments = block.segments(width)
    assert sum(segments) == width
    assert set(segments) <= {block.pixels, block.pixels - 1}
    assert min(segments) > 0
    assert (block.pixels - 1 in segments) == bool(block.short)
    groups = list(block.groups(units))
    assert sum(count for _, count in groups) == units
    assert block.rest == units % block.units
    assert block.units * (block.pixels + 1) < isa.vector_registers + block.units


@given(st.integers(1, 70), st.integers(1, 2000), st.sampled_from([1, 2, 4, 6, 8]), isas)
def test_planar_segments_cover_the_row(channels: int, width: int, phases: int, isa: Isa) -> None:
    chosen = planar_blocks.choose(channels, width, phases, planar_blocks.PlanarTaps({1: 4, phases: 9}, 3), isa)
    assert chosen is not None
    block, cycles = chosen
    vectors = -(-width // isa.lanes)
    segments = -(-vectors // block.vectors)
    full = vectors - segments * (block.vectors - 1) if block.short else segments
    assert full * block.vectors + (segments - full) * (block.vectors - 1) == vectors
    assert 0 < full <= segments
    assert block.vectors - block.short > 0
    assert block.rest == channels % block.channels
    assert cycles > 0


def test_blocks_that_were_measured_fastest() -> None:
    for width in (14, 28, 56, 112):
        assert register_blocks.choose(4, width, width, 576, AVX512).units == 2
        assert register_blocks.choose(4, width, width, 576, AVX512).pixels == 14
    assert register_blocks.choose(32, 7, 7, 512, AVX512).units == 4
    assert register_blocks.choose(32, 7, 7, 4608, AVX512).units == 2
    assert register_blocks.choose(63, 1, 1, 4096, AVX512).units == 8
