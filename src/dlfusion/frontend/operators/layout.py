"""Operators that only move data: new shapes, other orders of axes, padding."""

import math
from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, integers, number, per_axis, require, text
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.pad import Pad
from dlfusion.ops.space_to_depth import SpaceToDepth

PIXEL_SHUFFLES = {(0, 3, 4, 1, 5, 2): ChannelOrder.DCR, (0, 1, 4, 2, 5, 3): ChannelOrder.CRD}
"""Orders of axes that, between two reshapes, amount to DepthToSpace (its definition in ONNX)."""


def reshape(node: Node, context: Context) -> Activation:
    """Reshape to a constant shape."""
    activation = context.activation(node)
    wanted = [int(size) for size in context.constant(node, 1).reshape(-1)]
    if not integer(node, "allowzero", 0):
        if any(size == 0 and axis >= len(activation.shape) for axis, size in enumerate(wanted)):
            raise InvalidNodeError(f"shape {wanted} copies an axis that {activation.shape} does not have")
        wanted = [activation.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        known = math.prod(size for size in wanted if size != -1)
        wanted = [math.prod(activation.shape) // known if size == -1 else size for size in wanted]
    return _viewed(activation, wanted)


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
    """Transpose, if it moves nothing, swaps two neighbouring groups of axes, or is a pixel shuffle between reshapes."""
    activation = context.activation(node)
    rank = len(activation.shape)
    order = integers(node, "perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise InvalidNodeError(f"perm is {list(order)}, which is no order of the {rank} axes of {activation.shape}")
    shape = tuple(activation.shape[axis] for axis in order)
    if order in PIXEL_SHUFFLES:
        shuffled = _pixel_shuffle(context, activation, PIXEL_SHUFFLES[order])
        if shuffled is not None:
            return Activation(shuffled, shape)
    moved = [axis for axis in order if activation.shape[axis] != 1]
    if moved == sorted(moved):
        return Activation(activation.value, shape)
    swapped = _swap(context, activation, moved)
    if swapped is None:
        raise UnsupportedNodeError(f"perm {list(order)} of {activation.shape} does more than swap two groups of axes")
    return Activation(swapped, shape)


def _swap(context: Context, activation: Activation, moved: Sequence[int]) -> str | None:
    """Emits a channel shuffle that brings the axes into the order `moved`; None if none does.

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
    groups = math.prod(activation.shape[axis] for axis in middle[cut:])
    return context.emit(ChannelShuffle(groups), [context.merged(activation, batch, channels, rest)])


def depth_to_space(node: Node, context: Context) -> Activation:
    """DepthToSpace in both orders."""
    order = ChannelOrder(text(node, "mode", "DCR"))
    operator = DepthToSpace(integer(node, "blocksize", 1), order)
    value = context.emit(operator, [context.canonical(context.activation(node))])
    return Activation(value, context.shapes[value])


def space_to_depth(node: Node, context: Context) -> Activation:
    """SpaceToDepth; blocks come before channels."""
    require(node, "mode", "DCR")
    value = context.emit(SpaceToDepth(integer(node, "blocksize", 1)), [context.canonical(context.activation(node))])
    return Activation(value, context.shapes[value])


def pad(node: Node, context: Context) -> Activation:
    """Pad of the map with a constant; amounts are attributes before opset 11 and inputs since."""
    require(node, "mode", "constant")
    activation = context.activation(node)
    rank = len(activation.shape)
    fill = 0.0
    if context.opset < 11:
        amounts = per_axis(node, "pads", 2 * rank, 0)
        fill = number(node, "value", 0.0)
        axes: Sequence[int] = range(rank)
    else:
        amounts = tuple(int(amount) for amount in context.constant(node, 1).reshape(-1))
        array, chosen = context.optional(node, 2), context.optional(node, 3)
        fill = fill if array is None else float(array.astype(np.float32).reshape(-1)[0])
        axes = range(rank) if chosen is None else [from_front(int(axis), rank) for axis in chosen.reshape(-1)]
    if len(amounts) != 2 * len(axes):
        raise InvalidNodeError(f"{len(amounts)} pads do not fit {len(axes)} axes")
    begin, end = [0] * max(rank, 4), [0] * max(rank, 4)
    for position, axis in enumerate(axes):
        begin[axis], end[axis] = amounts[position], amounts[position + len(axes)]
    if any(begin[:2] + end[:2]) or rank > 4:
        raise UnsupportedNodeError(f"it pads {activation.shape} by {list(amounts)}; only maps can be padded")
    value = context.emit(Pad(begin[2], begin[3], end[2], end[3], fill), [context.canonical(activation)])
    return context.of_rank(value, rank)


def _viewed(activation: Activation, shape: Sequence[int]) -> Activation:
    if math.prod(shape) != math.prod(activation.shape):
        raise InvalidNodeError(f"{activation.shape} cannot be reshaped to {tuple(shape)}")
    return Activation(activation.value, tuple(shape))


def _axes(node: Node, context: Context) -> tuple[int, ...] | None:
    if context.opset < 13:
        return integers(node, "axes")
    array = context.optional(node, 1)
    return None if array is None else tuple(int(axis) for axis in array.reshape(-1))


def _pixel_shuffle(context: Context, activation: Activation, order: ChannelOrder) -> str | None:
    """Emits DepthToSpace if the axes to be moved are those of a square block."""
    batch, first, second, third, height, width = activation.shape
    rows, columns = (first, second) if order is ChannelOrder.DCR else (second, third)
    if rows != columns:
        return None
    value = context.reshaped(activation, (batch, first * second * third, height, width))
    return context.emit(DepthToSpace(rows, order), [value])


CONVERTERS = {
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Pad": pad,
}
