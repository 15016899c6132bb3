"""Concatenation without copies: layers of a block that write straight into their channels of a later concatenation."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from dlfusion.layers.layer import Layer
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import Schedule
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels import concat
from dlfusion.targets.cpu.stages import Staged


@dataclass(frozen=True, slots=True)
class Join:
    """A value that lies inside another: its first channel is that of `channel_unit` of `target`."""

    target: str
    channel_unit: int


def find_joins(
    staged: Staged, block: Block, rows: Schedule, stored: Collection[str], isa: Isa
) -> tuple[dict[str, Join], dict[int, Lowered]]:
    """The values of a block that can be written in place, and the concatenations that then copy less.

    `stored` holds the values that must also end up elsewhere. They may be the target of a join, but not join another
    value, and cores may write to them only rows that no other core writes.
    """
    joins: dict[str, Join] = {}
    lowered: dict[int, Lowered] = {}
    for layer in (staged.network.layers[i] for i in reversed(block.layers)):
        found = _joins_of(staged, rows, layer, stored, joins, isa)
        if found:
            joins.update(dict(found.values()))
            layout = staged.layouts[layer.output]
            ways = concat.candidates(layer, staged.network, isa, written=found)
            lowered[layer.index] = next(way for way in ways if way.output_layout is layout)
    return joins, lowered


def _joins_of(
    staged: Staged, rows: Schedule, layer: Layer, stored: Collection[str], joins: Mapping[str, Join], isa: Isa
) -> dict[int, tuple[str, Join]]:
    """For a concatenation: by the index of the input, the inputs that can be written in place."""
    way = staged.lowered[layer.index]
    if way.header != "concat.hpp":
        return {}
    network, target, layout = staged.network, layer.output, way.output_layout
    lanes = isa.lanes if layout is Layout.BLOCKED else 1
    reads = [read.value for read in layer.reads]
    root = target
    while root in joins:
        root = joins[root].target
    if any(port.value == root for port in network.graph.outputs):
        return {}  # its rows may go straight into a user's array, which has no room for padding
    found = {}
    for index in sorted(concat.writable_inputs(layer, network, isa, layout)):
        value = reads[index]
        free = value in rows.flow.values and value not in stored and value not in joins and reads.count(value) == 1
        pads, room = staged.pads[value], staged.pads[root]
        fits = pads.left <= room.left and pads.right <= room.right
        if free and fits and (root not in stored or _same_rows(rows, value, root)):
            found[index] = (value, Join(target, concat.channel_offsets(layer, network)[index] // lanes))
    return found


def _same_rows(rows: Schedule, value: str, other: str) -> bool:
    """True if every core computes the same rows of both values."""
    one, two = rows.flow.values.index(value), rows.flow.values.index(other)
    return all(segment.produced[one] == segment.produced[two] for segment in rows.segments)


def ring_rows(rows: Schedule, joins: Mapping[str, Join]) -> dict[str, int]:
    """Rows that each value's ring must hold; for the target of joins, those of all values inside it.

    The rows of a joined value stay until the readers of its target have read them, so these count as its own readers.
    """
    links = list(rows.flow.links)
    position = {value: index for index, value in enumerate(rows.flow.values)}
    for value in reversed(rows.flow.values):
        if value in joins:
            links[position[value]] += links[position[joins[value].target]]
    held = dict(replace(rows, flow=replace(rows.flow, links=tuple(links))).ring_rows)
    for value in rows.flow.values:  # a joined value comes before its target
        if value in joins:
            target = joins[value].target
            held[target] = max(held[value], held.get(target, 1), _rows_per_step(rows, target))
        elif value not in held:
            held[value] = _rows_per_step(rows, value)
    return held


def _rows_per_step(rows: Schedule, value: str) -> int:
    """The most rows of `value` that one step produces: what a ring holds that is only stored from."""
    index = rows.flow.values.index(value)
    return max((step[index].length for segment in rows.segments for step in rows.steps(segment)), default=1)
