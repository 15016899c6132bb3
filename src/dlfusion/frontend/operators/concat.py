"""Concatenation."""

import math
from collections.abc import Sequence

from dlfusion.frontend.attributes import from_front, integer
from dlfusion.frontend.context import Activation, Context, InvalidNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.operator import Operator


def concat(node: Node, context: Context) -> Activation:
    """Concat along any axis; those that are neither channels nor of the map cost reshapes."""
    activations = [context.activation(node, index) for index in range(len(node.inputs))]
    first = activations[0].shape
    axis = from_front(integer(node, "axis", 1), len(first))
    for activation in activations:
        if len(activation.shape) != len(first):
            raise InvalidNodeError(f"inputs of shape {first} and {activation.shape} cannot be joined along axis {axis}")
    return joined(context, activations, axis)


def joined(context: Context, activations: Sequence[Activation], axis: int) -> Activation:
    """Activations of one rank, one after another along an axis."""
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


CONVERTERS = {"Concat": concat}
