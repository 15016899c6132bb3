"""Operators that only move data: new shapes, other orders of axes, padding."""

import math
from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, integers, number, per_axis, text
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError, four_axes
from dlfusion.frontend.model import Node
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.conv import Conv
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.resize import Resize, ResizeMode
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.transpose import Transpose

PIXEL_SHUFFLES = {(0, 3, 4, 1, 5, 2): ChannelOrder.DCR, (0, 1, 4, 2, 5, 3): ChannelOrder.CRD}
"""Orders of axes that, between two reshapes, amount to DepthToSpace (its definition in ONNX)."""

PIXEL_UNSHUFFLES = {(0, 3, 5, 1, 2, 4): ChannelOrder.DCR, (0, 1, 3, 5, 2, 4): ChannelOrder.CRD}
"""The same for SpaceToDepth."""

MOST_COPIES = 1 << 22
"""Of a channel: each has a weight of its own."""


def reshape(node: Node, context: Context) -> Activation:
    """Reshape to a constant shape."""
    activation = context.seen(node)
    wanted = list(_required(node, context))
    if not integer(node, "allowzero", 0):
        if any(size == 0 and axis >= len(activation.shape) for axis, size in enumerate(wanted)):
            raise InvalidNodeError(f"shape {wanted} copies an axis that {activation.shape} does not have")
        wanted = [activation.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        known = math.prod(size for size in wanted if size != -1)
        wanted = [math.prod(activation.shape) // known if size == -1 else size for size in wanted]
    if (
        activation.channels_last
        and len(wanted) > 2
        and (wanted[0], wanted[-1]) == activation.shape[:: len(activation.shape) - 1]
    ):
        return Activation(activation.value, tuple(wanted), channels_last=True)
    return _viewed(context.plain(activation), wanted)


def flatten(node: Node, context: Context) -> Activation:
    """Flatten to a matrix."""
    activation = context.activation(node)
    rank = len(activation.shape)
    axis = integer(node, "axis", 1)
    if axis != rank:  # all axes before it
        axis = from_front(axis, rank)
    return _viewed(activation, (math.prod(activation.shape[:axis]), math.prod(activation.shape[axis:])))


def squeeze(node: Node, context: Context) -> Activation:
    """Squeeze; the axes are an attribute before opset 13 and an input since."""
    activation = context.activation(node)
    rank = len(activation.shape)
    axes = _axes(node, context)
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(activation.shape) if size == 1)
    dropped = {from_front(axis, rank) for axis in axes}
    return _viewed(activation, [size for axis, size in enumerate(activation.shape) if axis not in dropped])


def unsqueeze(node: Node, context: Context) -> Activation:
    """Unsqueeze; the axes are an attribute before opset 13 and an input since."""
    activation = context.activation(node)
    axes = _axes(node, context) or ()
    rank = len(activation.shape) + len(axes)
    added = {from_front(axis, rank) for axis in axes}
    if len(added) < len(axes):
        raise InvalidNodeError(f"axes {list(axes)} name one axis twice")
    sizes = iter(activation.shape)
    return _viewed(activation, [1 if axis in added else next(sizes) for axis in range(rank)])


def transpose(node: Node, context: Context) -> Activation:
    """Transpose that leaves the batch in place; more than three groups of neighbouring axes move in several steps."""
    seen = context.seen(node)
    activation = seen.channels_first
    rank = len(activation.shape)
    last = (0, *range(2, rank), 1)
    order = integers(node, "perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise InvalidNodeError(f"perm is {list(order)}, which is no order of the {rank} axes of {seen.shape}")
    if seen.channels_last:
        order = tuple(last[axis] for axis in order)
    shape = tuple(activation.shape[axis] for axis in order)
    if order in PIXEL_SHUFFLES:
        shuffled = _pixel_shuffle(context, activation, PIXEL_SHUFFLES[order])
        if shuffled is not None:
            return Activation(shuffled, shape)
    if order in PIXEL_UNSHUFFLES:
        unshuffled = _pixel_unshuffle(context, activation, PIXEL_UNSHUFFLES[order])
        if unshuffled is not None:
            return Activation(unshuffled, shape)
    if order == last and rank > 2:
        # What comes next may not need the channels to be moved: whoever does has it done.
        channels, places = activation.shape[1], math.prod(activation.shape[2:])
        value = context.merged(activation, activation.shape[0], channels, places)
        return Activation(value, shape, channels_last=True)
    return in_order(context, activation, order)


def in_order(context: Context, activation: Activation, order: Sequence[int]) -> Activation:
    """The activation, which has its channels in their place, with its axes in another order.

    Raises:
        UnsupportedNodeError: the batch of several images would move.
    """
    shape = tuple(activation.shape[axis] for axis in order)
    moved = [axis for axis in order if activation.shape[axis] != 1]
    if moved == sorted(moved):
        return Activation(activation.value, shape)
    result = (
        _swapped(context, activation, moved, copies=False)
        or _transposed(context, activation, order)
        or _swapped(context, activation, moved, copies=True)
        or _in_steps(context, activation, order)
    )
    if result is None:
        raise UnsupportedNodeError(f"perm {list(order)} of {activation.shape} moves the batch; all other axes can move")
    return Activation(result, shape)


def _transposed(context: Context, activation: Activation, order: Sequence[int]) -> str | None:
    """Emits a transposition of up to three axes, or groups of them, behind the batch; None if it is more than that."""
    if _moves_batch(activation, order):
        return None
    if len(order) <= 4 and order[0] == 0:
        axes = (*order, *range(len(order), 4))
        return context.emit(Transpose((axes[1], axes[2], axes[3])), [context.canonical(activation)])
    behind = [axis for axis in order if axis != 0 and activation.shape[axis] != 1]
    runs: list[list[int]] = []
    resting = {axis: place for place, axis in enumerate(sorted(behind))}
    for axis in behind:
        if runs and resting[axis] == resting[runs[-1][-1]] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    if len(runs) > 3:
        return None
    places = sorted(range(len(runs)), key=lambda index: runs[index][0])
    sizes = [math.prod(activation.shape[axis] for axis in runs[index]) for index in places]
    batch, channels, height, width = (activation.shape[0], *sizes, 1, 1)[:4]
    axes = (*(places.index(index) + 1 for index in range(len(runs))), *range(len(runs) + 1, 4))
    value = context.reshaped(activation, (batch, channels, height, width))
    return context.emit(Transpose((axes[0], axes[1], axes[2])), [value])


def _swapped(context: Context, activation: Activation, moved: Sequence[int], *, copies: bool) -> str | None:
    """Emits a channel shuffle that brings the axes into the order `moved`; None if none does.

    With `copies` the value may first be reshaped for it.

    Swapping axes a and b of N x a x b x R is a channel shuffle in `a` groups of an N x (a * b) x R map.
    """
    resting = sorted(moved)
    differing = [place for place, axis in enumerate(moved) if axis != resting[place]]
    before, after = differing[0], differing[-1] + 1
    middle = moved[before:after]
    cut = middle.index(min(middle))
    if [*middle[cut:], *middle[:cut]] != resting[before:after]:
        return None
    sizes = [activation.shape[axis] for axis in resting]
    batch, channels, rest = (math.prod(part) for part in (sizes[:before], sizes[before:after], sizes[after:]))
    if batch not in (1, activation.shape[0]):  # the axes before it would become images, which kernels see one by one
        return None
    if not copies and (batch, channels) != context.shapes[activation.value][:2]:
        return None
    groups = math.prod(activation.shape[axis] for axis in middle[cut:])
    return context.emit(ChannelShuffle(groups), [context.merged(activation, batch, channels, rest)])


def _in_steps(context: Context, activation: Activation, order: Sequence[int]) -> str | None:
    """Emits a transposition for each axis behind the batch that is not in its place; None if the batch moves."""
    if _moves_batch(activation, order):
        return None
    size = activation.shape
    wanted = [axis for axis in order if axis != 0 and size[axis] != 1]
    found = sorted(wanted)
    value = activation
    while found != wanted:
        place = next(place for place, axis in enumerate(found) if axis != wanted[place])
        cut = found.index(wanted[place])
        parts = found[:place], found[place:cut], found[cut:]
        grouped = (size[0], *(math.prod(size[axis] for axis in part) for part in parts))
        moved = context.emit(Transpose((1, 3, 2)), [context.reshaped(value, four_axes(grouped))], role="turned")
        value = Activation(moved, context.shapes[moved])
        found = [*parts[0], *parts[2], *parts[1]]
    return value.value


def _moves_batch(activation: Activation, order: Sequence[int]) -> bool:
    return activation.shape[0] != 1 and order[0] != 0


def expand(node: Node, context: Context) -> Activation:
    """Expand of all axes but the batch to a constant shape."""
    activation = context.activation(node)
    wanted = _required(node, context)
    try:
        shape = np.broadcast_shapes(activation.shape, wanted)
    except ValueError as error:
        raise InvalidNodeError(f"{activation.shape} does not expand to {wanted}") from error
    aligned = Activation(activation.value, (1,) * (len(shape) - len(activation.shape)) + activation.shape)
    return _expanded(context, aligned, shape)


def _expanded(context: Context, activation: Activation, shape: tuple[int, ...]) -> Activation:
    """The activation with axes of size 1 repeated to `shape`, which has as many axes."""
    if activation.shape == shape:
        return activation
    if activation.shape[0] != shape[0]:
        raise UnsupportedNodeError(f"it repeats {activation.shape} to {shape}; the batch, axis 0, cannot grow")
    (_, channels, *sizes), (_, wanted_channels, *wanted_sizes) = four_axes(activation.shape), four_axes(shape)
    if any(own not in (1, size) for own, size in zip(sizes, wanted_sizes, strict=True)):
        for axis, size in enumerate(shape):
            activation = activation if activation.shape[axis] == size else _repeated(context, activation, axis, size)
        return activation
    value = context.canonical(activation)
    if wanted_channels != channels:
        if wanted_channels > MOST_COPIES:
            raise UnsupportedNodeError(
                f"it makes {wanted_channels} channels of {channels}; at most {MOST_COPIES} can be"
            )
        ones = np.ones((wanted_channels, 1, 1, 1), np.float32)
        copied = [("weights", ones), ("bias", np.zeros(wanted_channels, np.float32))]
        value = context.emit(Conv((1, 1)), [value], copied, role="channels")
    if wanted_sizes != sizes:
        height, width = wanted_sizes
        value = context.emit(Resize(height, width, ResizeMode.NEAREST), [value])
    return Activation(value, shape)


def _repeated(context: Context, activation: Activation, axis: int, count: int) -> Activation:
    """The activation with an axis of size 1 behind the batch repeated, as the only row of a map."""
    shape = activation.shape
    after = math.prod(shape[axis + 1 :])
    value = context.reshaped(activation, (shape[0], math.prod(shape[1:axis]), 1, after))
    value = context.emit(Resize(count, after, ResizeMode.NEAREST), [value])
    return Activation(value, (*shape[:axis], count, *shape[axis + 1 :]))


def tile(node: Node, context: Context) -> Activation:
    """Tile of all axes but the batch by constant counts."""
    activation = context.activation(node)
    counts = _required(node, context)
    if len(counts) != len(activation.shape) or min(counts) < 0:
        raise InvalidNodeError(f"repeats {counts} do not fit {activation.shape}")
    if 0 in counts:
        raise UnsupportedNodeError(f"it takes nothing of {activation.shape}")
    # Copies of an axis one after the other are copies along a new axis before it.
    sizes, wanted = [], []
    for size, count in zip(activation.shape, counts, strict=True):
        sizes += [size] if 1 in (size, count) else [1, size]
        wanted += [size * count] if 1 in (size, count) else [count, size]
    copies = _expanded(context, Activation(activation.value, tuple(sizes)), tuple(wanted))
    return _viewed(copies, [size * count for size, count in zip(activation.shape, counts, strict=True)])


def depth_to_space(node: Node, context: Context) -> Activation:
    """DepthToSpace in both orders."""
    order = ChannelOrder(text(node, "mode", "DCR"))
    operator = DepthToSpace(integer(node, "blocksize", 1), order)
    value = context.emit(operator, [context.canonical(context.activation(node))])
    return Activation(value, context.shapes[value])


def space_to_depth(node: Node, context: Context) -> Activation:
    """SpaceToDepth in both orders."""
    operator = SpaceToDepth(integer(node, "blocksize", 1), ChannelOrder(text(node, "mode", "DCR")))
    value = context.emit(operator, [context.canonical(context.activation(node))])
    return Activation(value, context.shapes[value])


def pad(node: Node, context: Context) -> Activation:
    """Pad in all modes, of any axes; those that are not of the map cost reshapes."""
    mode = PadMode(text(node, "mode", "constant"))
    activation = context.activation(node)
    rank = len(activation.shape)
    fill = 0.0
    if context.opset < 11:
        amounts = per_axis(node, "pads", 2 * rank, 0)
        fill = number(node, "value", 0.0)
        axes: Sequence[int] = range(rank)
    else:
        amounts, chosen = _required(node, context), context.integers(node, 3)
        fill = context.number(node, 2, default=0.0)
        axes = range(rank) if chosen is None else [from_front(axis, rank) for axis in chosen]
    if len(amounts) != 2 * len(axes):
        raise InvalidNodeError(f"{len(amounts)} pads do not fit {len(axes)} axes")
    ends = zip(amounts, amounts[len(axes) :], strict=False)
    pads = {axis: pair for axis, pair in zip(axes, ends, strict=True) if pair != (0, 0)}
    if rank in (3, 4):
        # A line is the width of its map: it has no axis for rows.
        top, bottom = pads.pop(2, (0, 0)) if rank == 4 else (0, 0)
        left, right = pads.pop(rank - 1, (0, 0))
        value = context.emit(Pad(top, left, bottom, right, fill, mode), [context.map_of(activation)])
        activation = context.of_rank(value, rank)
    for axis, (before, after) in pads.items():
        activation = pad_axis(context, activation, axis, Pad(before, 0, after, 0, fill, mode))
    return activation


def pad_axis(context: Context, activation: Activation, axis: int, operator: Pad) -> Activation:
    """Any axis padded, as rows: those between the batch and it are the channels, those after it the columns."""
    shape = activation.shape
    batch, channels = (shape[0], math.prod(shape[1:axis])) if axis else (1, 1)
    value = context.reshaped(activation, (batch, channels, shape[axis], math.prod(shape[axis + 1 :])))
    padded = context.emit(operator, [value])
    return Activation(padded, (*shape[:axis], context.shapes[padded][2], *shape[axis + 1 :]))


def _viewed(activation: Activation, shape: Sequence[int]) -> Activation:
    if math.prod(shape) != math.prod(activation.shape):
        raise InvalidNodeError(f"{activation.shape} cannot be reshaped to {tuple(shape)}")
    return Activation(activation.value, tuple(shape))


def _axes(node: Node, context: Context) -> tuple[int, ...] | None:
    if context.opset < 13:
        return integers(node, "axes")
    return context.integers(node, 1)


def _required(node: Node, context: Context) -> tuple[int, ...]:
    """The integers that are the second input."""
    found = context.integers(node, 1)
    if found is None:
        raise InvalidNodeError("input 1 is missing")
    return found


def _pixel_shuffle(context: Context, activation: Activation, order: ChannelOrder) -> str | None:
    """Emits DepthToSpace if the axes to be moved are those of a square block."""
    batch, first, second, third, height, width = activation.shape
    rows, columns = (first, second) if order is ChannelOrder.DCR else (second, third)
    if rows != columns:
        return None
    value = context.reshaped(activation, (batch, first * second * third, height, width))
    return context.emit(DepthToSpace(rows, order), [value])


def _pixel_unshuffle(context: Context, activation: Activation, order: ChannelOrder) -> str | None:
    """Emits SpaceToDepth if the axes to be moved are those of a square block."""
    batch, channels, height, rows, width, columns = activation.shape
    if rows != columns:
        return None
    value = context.reshaped(activation, (batch, channels, height * rows, width * columns))
    return context.emit(SpaceToDepth(rows, order), [value])


CONVERTERS = {
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Expand": expand,
    "Tile": tile,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Pad": pad,
}
