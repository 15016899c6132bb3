"""Parts of activations."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dlfusion.frontend.attributes import from_front, integer, integers
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, Outputs, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.frontend.operators.concat import joined
from dlfusion.ops.slice import Slice

MOST_INDICES = 1 << 20
"""Of a Gather: they are looked through one by one."""

MOST_PARTS = 256
"""Of a Gather: each one is a layer, and joining them takes them all as operands."""


@dataclass(frozen=True, slots=True)
class Part:
    """`size` elements along an axis from `start` on, `step` apart."""

    start: int
    size: int
    step: int = 1


def slice_(node: Node, context: Context) -> Activation:
    """Slice along any axes with any steps; what are attributes before opset 10 are constant inputs since."""
    activation = context.activation(node)
    rank = len(activation.shape)
    if context.opset < 10:
        starts, ends = integers(node, "starts") or (), integers(node, "ends") or ()
        axes, steps = integers(node, "axes"), None
    else:
        starts, ends = context.integers(node, 1) or (), context.integers(node, 2) or ()
        axes, steps = context.integers(node, 3), context.integers(node, 4)
    chosen = [from_front(axis, rank) for axis in (range(len(starts)) if axes is None else axes)]
    if not len(starts) == len(ends) == len(chosen) == len(steps or starts):
        raise InvalidNodeError(f"starts {starts}, ends {ends}, axes {axes} and steps {steps} differ in number")
    parts = {}
    for axis, start, end, step in zip(chosen, starts, ends, steps or (1,) * len(starts), strict=True):
        parts[axis] = _part(activation.shape[axis], start, end, step)
    if any(part.size == 0 for part in parts.values()):
        raise UnsupportedNodeError(f"it takes nothing of {activation.shape}")
    return sliced(context, activation, parts)


def split(node: Node, context: Context) -> tuple[Activation | None, ...]:
    """Split along any axis, into equal parts or parts of constant sizes."""
    activation = context.activation(node)
    axis = from_front(integer(node, "axis", 0), len(activation.shape))
    length, count = activation.shape[axis], integer(node, "num_outputs", len(node.outputs))
    sizes = integers(node, "split") if context.opset < 13 else context.integers(node, 1)
    if sizes is None:
        if not 1 <= count <= length:
            raise InvalidNodeError(f"axis {axis} of {activation.shape} cannot be split into {count} parts")
        # Equal parts, but that the last one is smaller if they are not a divisor.
        size = -(-length // count)
        sizes = (*(size,) * (count - 1), length - size * (count - 1))
    if sum(sizes) != length or min(sizes) < 0 or len(sizes) < len(node.outputs):
        raise InvalidNodeError(f"parts of {list(sizes)} do not make up axis {axis} of {activation.shape}")
    found: list[Activation | None] = []
    for output, start, size in zip(node.outputs, accumulate(sizes, initial=0), sizes, strict=False):
        if output.is_read and size == 0:
            raise UnsupportedNodeError(f"its output {output.name} is empty")
        context.name_after(output.name)
        found.append(sliced(context, activation, {axis: Part(start, size)}) if output.is_read else None)
    return tuple(found)


def gather(node: Node, context: Context) -> Activation:
    """Gather of constant indices along any axis: a slice, or slices that are joined."""
    activation = context.activation(node)
    shape = activation.shape
    axis = from_front(integer(node, "axis", 0), len(shape))
    indices = context.constant(node, 1)
    if indices.size > MOST_INDICES:
        raise UnsupportedNodeError(f"it takes {indices.size} elements one by one; at most {MOST_INDICES} are supported")
    places = [int(index) for index in indices.reshape(-1)]
    wrong = [place for place in places if not -shape[axis] <= place < shape[axis]]
    if wrong:
        raise InvalidNodeError(f"index {wrong[0]} lies outside axis {axis} of {shape}")
    parts = _runs([place % shape[axis] for place in places])
    if not 1 <= len(parts) <= MOST_PARTS:
        raise UnsupportedNodeError(
            f"it takes {len(places)} elements of axis {axis} of {shape} in {len(parts)} evenly spaced parts; "
            f"1 to {MOST_PARTS} are supported"
        )
    taken = joined(context, [sliced(context, activation, {axis: part}) for part in parts], axis)
    return Activation(taken.value, (*shape[:axis], *indices.shape, *shape[axis + 1 :]))


def _runs(places: Sequence[int]) -> list[Part]:
    """The places in order, as few evenly spaced parts; a place that repeats begins a part."""
    parts: list[Part] = []
    for place in places:
        last = parts[-1] if parts else None
        if last is not None and last.size == 1 and place != last.start:
            parts[-1] = Part(last.start, 2, place - last.start)
        elif last is not None and last.size > 1 and place == last.start + last.size * last.step:
            parts[-1] = Part(last.start, last.size + 1, last.step)
        else:
            parts.append(Part(place, 1))
    return parts


def sliced(context: Context, activation: Activation, parts: dict[int, Part]) -> Activation:
    """The activation with a part of each of some axes."""
    shape = tuple(parts[axis].size if axis in parts else size for axis, size in enumerate(activation.shape))
    whole = {axis: Part(0, size) for axis, size in enumerate(activation.shape)}
    parts = {axis: part for axis, part in parts.items() if part != whole[axis]}
    mapped = all(1 <= axis < 4 for axis in parts) and (len(shape) <= 4 or 3 not in parts)
    if mapped:
        if not parts:
            return activation
        of_channels = set(parts) == {1}
        value = context.as_it_lies(activation) if of_channels else context.map_of(activation)
        if len(shape) == 3 and 2 in parts:
            parts = {3 if axis == 2 else axis: part for axis, part in parts.items()}  # a line is the width of its map
        taken = [parts.get(axis, Part(0, context.shapes[value][axis])) for axis in (1, 2, 3)]
        starts, sizes, steps = zip(*((part.start, part.size, part.step) for part in taken), strict=True)
        return Activation(context.emit(Slice(starts, sizes, steps), [value]), shape)
    for axis, part in parts.items():
        activation = _one_axis(context, activation, axis, part)
    return activation


def _one_axis(context: Context, activation: Activation, axis: int, part: Part) -> Activation:
    """A part of any axis, as one of channels or of the map of the same elements."""
    shape = activation.shape
    if axis < 2:
        value = context.merged(activation, math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        place = 1
    else:
        value, place = context.along_map(activation, axis)
    taken = [part if own == place else Part(0, context.shapes[value][own]) for own in (1, 2, 3)]
    starts, sizes, steps = zip(*((own.start, own.size, own.step) for own in taken), strict=True)
    return Activation(
        context.emit(Slice(starts, sizes, steps), [value]), (*shape[:axis], part.size, *shape[axis + 1 :])
    )


def _part(length: int, start: int, end: int, step: int) -> Part:
    """What ONNX's start, end and step take of an axis, as Python's slices do."""
    if step == 0:
        raise InvalidNodeError("a step is 0")
    taken = range(*slice(start, end, step).indices(length))
    return Part(taken.start, len(taken), step)


CONVERTERS: dict[str, Callable[[Node, Context], Outputs]] = {"Gather": gather, "Slice": slice_, "Split": split}
