from hypothesis import given
from hypothesis import strategies as st

from dlfusion.targets.cpu.memory import Interval, assign_offsets

SPANS = st.tuples(st.integers(1, 500), st.integers(0, 20), st.integers(0, 20))


@given(st.lists(SPANS, max_size=30))
def test_buffers_that_live_at_the_same_time_do_not_overlap(spans: list[tuple[int, int, int]]) -> None:
    intervals = [Interval(str(i), size, born, born + length) for i, (size, born, length) in enumerate(spans)]
    offsets, total = assign_offsets(intervals, alignment=16)
    for a in intervals:
        assert offsets[a.name] % 16 == 0
        assert offsets[a.name] + a.size <= total
        for b in intervals:
            if a.name != b.name and a.overlaps(b):
                apart = offsets[a.name] + a.size <= offsets[b.name] or offsets[b.name] + b.size <= offsets[a.name]
                assert apart, (a, b, offsets)


def test_a_chain_needs_room_for_two_neighbours_only() -> None:
    chain = [Interval(str(i), 160, i, i + 1) for i in range(10)]
    assert assign_offsets(chain, alignment=16)[1] == 320
