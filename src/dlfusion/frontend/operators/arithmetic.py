"""Sums, products, quotients, powers and extremes of activations and constants, with NumPy's broadcasting."""

import math
from collections.abc import Callable

import numpy as np

from dlfusion.frontend.broadcasting import Constant, pair, per_channel, with_constant
from dlfusion.frontend.context import Activation, Context
from dlfusion.frontend.model import Node
from dlfusion.graph.graph import Array
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.binary import Binary
from dlfusion.ops.clip import Clip
from dlfusion.ops.div import Div
from dlfusion.ops.max import Max
from dlfusion.ops.min import Min
from dlfusion.ops.mul import Mul
from dlfusion.ops.pow import Pow
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.sub import Sub


def add(node: Node, context: Context) -> Activation:
    """Add and Sum: any number of activations and constants; a batch of 1 is not repeated."""
    constants, activations = _operands(node, context)
    total = activations[0]
    for other in activations[1:]:
        total = _combined(context, Add(), total, other)
    for index in constants:
        total = _shifted(context, total, context.weights(node, index))
    return total


def subtract(node: Node, context: Context) -> Activation:
    """Sub of two activations, or an activation and a constant; a batch of 1 is not repeated."""
    constants, activations = _operands(node, context)
    if not constants:
        return _combined(context, Sub(), *activations)
    constant = context.weights(node, constants[0])
    if constants[0] == 1:
        return _shifted(context, activations[0], -constant)
    operand = with_constant(context, activations[0], constant)
    if operand.is_per_channel:
        return _affine(context, operand, -np.ones_like(operand.array), operand.array)
    return _applied(context, Sub(reversed=True), operand)


def multiply(node: Node, context: Context) -> Activation:
    """Mul of two activations, or an activation and a constant; a batch of 1 is not repeated."""
    constants, activations = _operands(node, context)
    if not constants:
        return _combined(context, Mul(), *activations)
    return _scaled(context, activations[0], context.weights(node, constants[0]))


def divide(node: Node, context: Context) -> Activation:
    """Div of two activations, or an activation and a constant; a batch of 1 is not repeated."""
    constants, activations = _operands(node, context)
    if not constants:
        return _combined(context, Div(), *activations)
    constant = context.weights(node, constants[0])
    if constants[0] == 1 and constant.all():
        return _scaled(context, activations[0], np.float32(1) / constant)
    if constants[0] == 0 and (constant == 1).all() and constant.size == 1:
        return context.result(Reciprocal(), activations[0])
    return _applied(context, Div(reversed=constants[0] == 0), with_constant(context, activations[0], constant))


def power(node: Node, context: Context) -> Activation:
    """Pow of two activations, or an activation and a constant; a batch of 1 is not repeated."""
    constants, activations = _operands(node, context)
    if not constants:
        return _combined(context, Pow(), *activations)
    constant = context.constant(node, constants[0]).astype(np.float32)
    if constants[0] == 1 and (constant == 1).all() and constant.size == 1:
        return activations[0]
    return _applied(context, Pow(reversed=constants[0] == 0), with_constant(context, activations[0], constant))


def negate(node: Node, context: Context) -> Activation:
    """Neg."""
    return _scaled(context, context.activation(node), np.array(-1, np.float32))


def minimum(node: Node, context: Context) -> Activation:
    """Min of any number of activations and constants; a batch of 1 is not repeated."""
    return _extreme(node, context, Min(), lambda limit: Clip(-math.inf, limit))


def maximum(node: Node, context: Context) -> Activation:
    """Max of any number of activations and constants; a batch of 1 is not repeated."""
    return _extreme(node, context, Max(), lambda limit: Clip(limit, math.inf))


def mean(node: Node, context: Context) -> Activation:
    """Mean of any number of activations and constants; a batch of 1 is not repeated."""
    return _scaled(context, add(node, context), np.array(1 / len(node.inputs), np.float32))


def _operands(node: Node, context: Context) -> tuple[list[int], list[Activation]]:
    """Indices of the constant inputs, and all other inputs."""
    constants = [index for index in range(len(node.inputs)) if context.is_constant(node, index)]
    activations = [context.activation(node, index) for index in range(len(node.inputs)) if index not in constants]
    return constants, activations


def _extreme(node: Node, context: Context, operator: Binary, limited: Callable[[float], Clip]) -> Activation:
    """The extreme of all operands; a single number is a limit."""
    constants, activations = _operands(node, context)
    result = activations[0]
    for other in activations[1:]:
        result = _combined(context, operator, result, other)
    for index in constants:
        operand = with_constant(context, result, context.weights(node, index))
        is_limit = operand.array.size == 1 and not np.isnan(operand.array).any()
        result = (
            Activation(context.emit(limited(operand.array.item()), [operand.value]), operand.shape)
            if is_limit
            else _applied(context, operator, operand)
        )
    return result


def _combined(context: Context, operator: Binary, first: Activation, second: Activation) -> Activation:
    """Two activations under an operator that is told if they change places."""
    operands = pair(context, first, second)
    ordered = operator.swapped() if operands.swapped else operator
    return Activation(context.emit(ordered, operands.values), operands.shape)


def _applied(context: Context, operator: Binary, operand: Constant) -> Activation:
    return Activation(context.emit(operator, [operand.value], [("operand", operand.array)]), operand.shape)


def _scaled(context: Context, activation: Activation, factor: Array) -> Activation:
    operand = with_constant(context, activation, factor)
    if operand.is_per_channel:
        return _affine(context, operand, operand.array, np.zeros_like(operand.array))
    return _applied(context, Mul(), operand)


def _shifted(context: Context, activation: Activation, shift: Array) -> Activation:
    operand = with_constant(context, activation, shift)
    if operand.is_per_channel:
        return _affine(context, operand, np.ones_like(operand.array), operand.array)
    return _applied(context, Add(), operand)


def _affine(context: Context, operand: Constant, scale: Array, shift: Array) -> Activation:
    """One scale and shift for each channel: what can be folded into a convolution before it."""
    channels = context.shapes[operand.value][1]
    constants = [(role, per_channel(array, channels)) for role, array in (("scale", scale), ("shift", shift))]
    return Activation(context.emit(Affine(), [operand.value], constants), operand.shape)


CONVERTERS = {
    "Add": add,
    "Sum": add,
    "Mean": mean,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Pow": power,
    "Neg": negate,
    "Min": minimum,
    "Max": maximum,
}
