"""Packs buffers that live at different times into one arena."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Interval:
    """A buffer of `size` floats that must keep its contents from moment `born` to moment `last`, both inclusive.

    Moments are blocks of a program for tensors, and layers of a block for line buffers.
    """

    name: str
    size: int
    born: int
    last: int

    def overlaps(self, other: "Interval") -> bool:
        """True if both buffers are needed at some moment."""
        return self.born <= other.last and other.born <= self.last


def assign_offsets(intervals: Iterable[Interval], alignment: int) -> tuple[dict[str, int], int]:
    """Offsets of all buffers, in floats, and the size of the arena.

    Greedy by size: the largest buffer first, each at the lowest offset where no buffer that lives at the same time
    lies (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
    """
    placed: list[tuple[int, Interval]] = []
    total = 0
    for interval in sorted(intervals, key=lambda item: (-item.size, item.born, item.name)):
        offset = 0
        for start, other in placed:  # in order of their offsets
            if not interval.overlaps(other):
                continue
            if offset + interval.size <= start:
                break
            offset = max(offset, ceil((start + other.size) / alignment) * alignment)
        placed.append((offset, interval))
        placed.sort(key=lambda item: item[0])
        total = max(total, offset + interval.size)
    return {interval.name: offset for offset, interval in placed}, ceil(total / alignment) * alignment
