"""What a block computes, apart from how it is cut: its values, its inputs, and who reads which rows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlfusion.layers.layer import Network
from dlfusion.ops.window import Window
from dlfusion.plans.memo import NetworkMemo
from dlfusion.plans.plan import Block

Ints = NDArray[np.int64]


class Link(NamedTuple):
    """A read inside the block: layer at position `reader` of the block reads rows `window` of a value."""

    reader: int
    window: Window


@dataclass(frozen=True, eq=False)
class Reads:
    """Links as arrays, sorted by the value they read.

    Attributes:
        sources: positions of the values that have links, ascending.
        starts: for each of `sources`, the position of its first link in the arrays below.
        reader: (links,) position of the reading layer.
        multiplier, first_offset, last_offset: (links, 1, 1) of the windows.
        divisor: the same; None if all are 1.
    """

    sources: Ints
    starts: Ints
    reader: Ints
    multiplier: Ints
    first_offset: Ints
    last_offset: Ints
    divisor: Ints | None

    @staticmethod
    def of(links: Sequence[Sequence[Link]]) -> "Reads":
        """The arrays of the links of each value."""
        counts = np.array([len(of_value) for of_value in links], np.int64)
        flat = [link for of_value in links for link in of_value]
        windows = [(w.multiplier, w.first_offset, w.last_offset, w.divisor) for _, w in flat]
        columns = np.array(windows, np.int64).reshape(-1, 4).T.reshape(4, -1, 1, 1)
        sources = np.flatnonzero(counts)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)[:-1]])[sources]
        divisor = columns[3] if (columns[3] != 1).any() else None
        reader = np.array([link.reader for link in flat], np.int64)
        return Reads(sources, starts, reader, columns[0], columns[1], columns[2], divisor)

    def first_rows(self, rows: Ints) -> Ints:
        """The first row read for output row `rows` of each link's reader; `rows` is (links, any, any)."""
        first = rows * self.multiplier
        first += self.first_offset
        return first if self.divisor is None else first // self.divisor

    def end_rows(self, ends: Ints) -> Ints:
        """One past the last row read for the output row before `ends` of each link's reader."""
        end = (ends - 1) * self.multiplier
        end += self.last_offset
        return (end if self.divisor is None else end // self.divisor) + 1

    @property
    def one_each(self) -> bool:
        """Whether no value has several links."""
        return len(self.reader) == len(self.sources)


@dataclass(frozen=True)
class Flow:
    """What a block computes, apart from how it is cut.

    `values`, `heights`, `is_output` and `links` have one entry per layer of the block, in order; `inputs`,
    `input_heights` and `input_links` one for each value that the block reads from outside.
    """

    values: tuple[str, ...]
    heights: tuple[int, ...]
    is_output: tuple[bool, ...]
    links: tuple[tuple[Link, ...], ...]
    inputs: tuple[str, ...]
    input_heights: tuple[int, ...]
    input_links: tuple[tuple[Link, ...], ...]
    images: int
    reference: int

    @property
    def reference_height(self) -> int:
        """Rows of one image of the reference output."""
        return self.heights[self.reference]

    @property
    def reference_rows(self) -> int:
        """Rows of all images of the reference output: what bands are cut from."""
        return self.images * self.reference_height

    @property
    def outputs(self) -> tuple[str, ...]:
        """Values that are read after the block or are outputs of the model."""
        return tuple(value for value, out in zip(self.values, self.is_output, strict=True) if out)

    @cached_property
    def output_positions(self) -> Ints:
        """The positions of the outputs among the block's layers."""
        return np.flatnonzero(self.is_output)

    @cached_property
    def output_heights(self) -> Ints:
        """(layers, 1) rows of one image of each output; 0 for what is no output."""
        heights = [height if out else 0 for height, out in zip(self.heights, self.is_output, strict=True)]
        return np.array(heights, np.int64)[:, None]

    @cached_property
    def has_short_outputs(self) -> bool:
        """Whether some output has fewer rows than the reference, so that a segment may own none of them."""
        return any(self.heights[i] < self.reference_height for i in self.output_positions)

    @cached_property
    def link_offsets(self) -> tuple[tuple[Ints, ...], ...]:
        """For each link (2, 1): what to add to (first, -last) of the reader's rows for those of the rows read."""
        return tuple(
            tuple(np.array([[window.first_offset], [-window.last_offset]], np.int64) for _, window in of_value)
            for of_value in self.links
        )

    @cached_property
    def lowest_rows(self) -> tuple[Ints, ...]:
        """For each layer (2, 1): the least that (first, -last) of its rows can be; first = height means no rows."""
        return tuple(np.array([[0], [1 - height]], np.int64) for height in self.heights)

    @cached_property
    def highest_rows(self) -> tuple[Ints, ...]:
        """For each layer (2, 1): the most that (first, -last) of its rows can be; last = -1 means no rows."""
        return tuple(np.array([[height], [1]], np.int64) for height in self.heights)

    @cached_property
    def input_height_column(self) -> Ints:
        """(links of inputs, 1, 1) rows of one image of the input that each link reads."""
        heights = [
            height for height, of_input in zip(self.input_heights, self.input_links, strict=True) for _ in of_input
        ]
        return np.array(heights, np.int64).reshape(-1, 1, 1)

    @cached_property
    def input_reads(self) -> Reads:
        """The links of the inputs."""
        return Reads.of(self.input_links)

    @cached_property
    def all_reads(self) -> Reads:
        """The links of the layers' values, then those of the inputs; inputs are numbered after the layers."""
        return Reads.of(self.links + self.input_links)

    @cached_property
    def reads_everything(self) -> bool:
        """Whether some layer reads the same rows of another for each of its rows."""
        return any(window.multiplier == 0 for of_value in self.links for _, window in of_value)

    @cached_property
    def always_reads(self) -> bool:
        """Whether every row of a reader reads at least one row that exists, so that no row of padding stands alone."""
        return all(
            window.first(self.heights[reader] - 1) < height
            and window.end(1) > 0
            and window.first_offset <= window.last_offset
            for height, of_value in zip(self.heights, self.links, strict=True)
            for reader, window in of_value
        )


def block_flow(network: Network, block: Block) -> Flow:
    """The values of a block and how its layers read each other."""
    key = (block.first, block.last)
    return _FLOWS.get(network, key, lambda: _make_flow(network, block))


_FLOWS: NetworkMemo[tuple[int, int], Flow] = NetworkMemo(capacity=2048)
"""Flows of the blocks seen last: planners ask for the same layers with many numbers of cores and rows per step."""


def _make_flow(network: Network, block: Block) -> Flow:
    layers = [network.layers[index] for index in block.layers]
    position = {layer.output: i for i, layer in enumerate(layers)}
    links: list[list[Link]] = [[] for _ in layers]
    inputs: dict[str, list[Link]] = {}
    for reader, layer in enumerate(layers):
        for read in layer.reads:
            of_value = links[position[read.value]] if read.value in position else inputs.setdefault(read.value, [])
            of_value.append(Link(reader, read.rows))
    model_outputs = {port.value for port in network.graph.outputs}
    values = tuple(layer.output for layer in layers)
    heights = tuple(network.shape(value)[2] for value in values)
    is_output = tuple(v in model_outputs or network.consumers.get(v, (0,))[-1] > block.last for v in values)
    reference = max((height, i) for i, height in enumerate(heights) if is_output[i])[1]
    return Flow(
        values=values,
        heights=heights,
        is_output=is_output,
        links=tuple(tuple(dict.fromkeys(of_value)) for of_value in links),
        inputs=tuple(inputs),
        input_heights=tuple(network.shape(value)[2] for value in inputs),
        input_links=tuple(tuple(dict.fromkeys(of_value)) for of_value in inputs.values()),
        images=network.shape(values[reference])[0],
        reference=reference,
    )
