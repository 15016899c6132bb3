"""Concatenation."""

import math
from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.attributes import from_front, integer
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.graph.graph import Array
from dlfusion.ops.add import Add
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Operator
from dlfusion.ops.pad import Pad
from dlfusion.ops.slice import Slice

MOST_JOINED = 64
"""Activations at once, which is what kernels take; DenseNet-264 joins 65."""

MOST_COPIES = 64
"""Of an activation that a Tile puts next to each other along an axis."""


def concat(node: Node, context: Context) -> Activation:
    """Concat along any axis, also of constant channels; axes that are neither channels nor of the map cost reshapes."""
    indices = range(len(node.inputs))
    given = {index: context.activation(node, index) for index in indices if not context.is_constant(node, index)}
    first, *_ = given.values()
    axis = from_front(integer(node, "axis", 1), len(first.shape))
    for index in indices:
        if index not in given:
            given[index] = _constant_channels(context, first, axis, context.weights(node, index))
    activations = [given[index] for index in indices]
    for activation in activations:
        if len(activation.shape) != len(first.shape):
            raise InvalidNodeError(
                f"inputs of shape {first.shape} and {activation.shape} cannot be joined along axis {axis}"
            )
    return joined(context, activations, axis)


def tile(node: Node, context: Context) -> Activation:
    """Tile, of up to 64 copies along each axis but the batch."""
    activation = context.activation(node)
    repeats = [int(count) for count in context.constant(node, 1).reshape(-1)]
    if len(repeats) != len(activation.shape) or min(repeats) < 1:
        raise InvalidNodeError(f"repeats of {repeats} do not fit an input of shape {activation.shape}")
    if max(repeats) > MOST_COPIES:
        raise UnsupportedNodeError(f"its repeats are {repeats}; at most {MOST_COPIES} along an axis are supported")
    if repeats[0] > 1:
        raise UnsupportedNodeError(f"its repeats are {repeats}; the batch, axis 0, cannot be repeated")
    for axis, count in enumerate(repeats):
        if count > 1:
            activation = joined(context, [activation] * count, axis)
    return activation


def _constant_channels(context: Context, beside: Activation, axis: int, constant: Array) -> Activation:
    """Constant channels, such as the coordinates that CoordConv adds: the same for each image of the batch.

    They are added to zeros that are cut out of a padded channel of `beside`, since each node reads an activation.
    """
    shape = constant.shape
    if axis != 1 or not 2 < len(beside.shape) < 5:
        raise UnsupportedNodeError(f"it joins a constant of {shape} along axis {axis}; only channels can be constant")
    if len(shape) != len(beside.shape) or (shape[0], *shape[2:]) != (beside.shape[0], *beside.shape[2:]):
        raise InvalidNodeError(f"inputs of shape {beside.shape} and {shape} cannot be joined along axis {axis}")
    if (constant != constant[:1]).any():
        raise UnsupportedNodeError(f"its constant of shape {shape} varies along axis 0, the batch")
    value = context.map_of(beside)
    *_, height, width = context.shapes[value]
    plane = (1, height, width)
    value = context.emit(Slice((0, 0, 0), plane), [value], role="plane")
    value = context.emit(Pad(0, width, 0, 0), [value], role="padded")
    value = context.emit(Slice((0, 0, 0), plane), [value], role="zeros")
    if shape[1] > 1:
        copied = [("weights", np.ones((shape[1], 1, 1, 1), np.float32)), ("bias", np.zeros(shape[1], np.float32))]
        value = context.emit(Conv((1, 1)), [value], copied, role="channels")
    array = np.ascontiguousarray(constant[0].reshape(shape[1], height, width))
    return Activation(context.emit(Add(), [value], [("operand", array)], role="constant"), shape)


def joined(context: Context, activations: Sequence[Activation], axis: int) -> Activation:
    """Activations of one rank, one after another along an axis."""
    if len(activations) > MOST_JOINED:
        parts = [activations[start : start + MOST_JOINED] for start in range(0, len(activations), MOST_JOINED)]
        activations = [part[0] if len(part) == 1 else joined(context, part, axis) for part in parts]
        return joined(context, activations, axis)
    first = activations[0].shape
    operator: Operator = Concat()
    if axis == 1:
        values = context.side_by_side(activations)
    elif axis in (2, 3) and len(first) <= 4:
        values = [context.map_of(activation) for activation in activations]
        operator = ConcatMap(3 if len(first) == 3 else axis)
    elif axis == 0:
        values = [
            context.reshaped(activation, (1, activation.shape[0], math.prod(activation.shape[1:]), 1))
            for activation in activations
        ]
    else:
        placed = [context.along_map(activation, axis) for activation in activations]
        values = [value for value, _ in placed]
        operator = ConcatMap(placed[0][1])
    total = sum(activation.shape[axis] for activation in activations)
    return Activation(context.emit(operator, values), (*first[:axis], total, *first[axis + 1 :]))


CONVERTERS = {"Concat": concat, "Tile": tile}
