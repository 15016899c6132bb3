"""Concatenation."""

import math
from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.attributes import from_front, integer
from dlfusion.frontend.broadcasting import with_constant
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.frontend.operators.layout import pad_axis
from dlfusion.graph.graph import Array
from dlfusion.ops.add import Add
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.operator import Operator
from dlfusion.ops.pad import Pad

MOST_OPERANDS = 64
"""What kernels join at once; more are joined in steps."""

MOST_WITH_CONSTANTS = 1 << 26
"""Elements of a result with constants, which are stored as an array of its size."""


def concat(node: Node, context: Context) -> Activation:
    """Concat along any axis, with constants among its inputs; axes of neither channels nor the map cost reshapes."""
    count = len(node.inputs)
    constants = {index: context.weights(node, index) for index in range(count) if context.is_constant(node, index)}
    activations = {index: context.activation(node, index) for index in range(count) if index not in constants}
    given: dict[int, Array | Activation] = {**constants, **activations}
    shapes = [given[index].shape for index in range(count)]
    axis = from_front(integer(node, "axis", 1), len(shapes[0]))
    for shape in shapes:
        if len(shape) != len(shapes[0]) or any(
            own != other for place, (own, other) in enumerate(zip(shape, shapes[0], strict=True)) if place != axis
        ):
            raise InvalidNodeError(f"inputs of shape {shapes[0]} and {shape} cannot be joined along axis {axis}")
    if constants:
        return _with_constants(context, constants, activations, axis)
    return joined(context, list(activations.values()), axis)


def joined(context: Context, activations: Sequence[Activation], axis: int) -> Activation:
    """Activations one after the other along any axis, in which alone they may differ."""
    while len(activations) > MOST_OPERANDS:
        starts = range(0, len(activations), MOST_OPERANDS)
        activations = [joined(context, activations[start : start + MOST_OPERANDS], axis) for start in starts]
    if len(activations) == 1:
        return activations[0]
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


def _with_constants(
    context: Context, constants: dict[int, Array], activations: dict[int, Activation], axis: int
) -> Activation:
    """Activations are padded with zeros where the constants between them belong, which are then added."""
    shapes = [array.shape for array in constants.values()] + [activation.shape for activation in activations.values()]
    elements = sum(math.prod(shape) for shape in shapes)
    if elements > MOST_WITH_CONSTANTS:
        raise UnsupportedNodeError(
            f"it joins constants and activations to {elements} elements; with constants at most {MOST_WITH_CONSTANTS} "
            "are supported"
        )
    gaps = [0] * (len(activations) + 1)
    pieces = []
    passed = 0
    for index in range(len(constants) + len(activations)):
        if index in constants:
            gaps[passed] += constants[index].shape[axis]
            pieces.append(constants[index])
        else:
            passed += 1
            pieces.append(np.zeros(activations[index].shape, np.float32))
    padded = []
    for place, activation in enumerate(activations.values()):
        before, after = gaps[0] if place == 0 else 0, gaps[place + 1]
        padded.append(pad_axis(context, activation, axis, Pad(before, 0, after, 0)) if before or after else activation)
    total = joined(context, padded, axis)
    shift = np.concatenate(pieces, axis)
    if not shift.any():
        return total
    operand = with_constant(context, total, shift)
    return Activation(context.emit(Add(), [operand.value], [("operand", operand.array)], "constants"), total.shape)


CONVERTERS = {"Concat": concat}
