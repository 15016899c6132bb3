"""Sums, products, and limits by constants."""

import math

import numpy as np

from dlfusion.frontend.broadcasting import per_channel
from dlfusion.frontend.context import Activation, Context, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.graph.graph import Array
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.mul import Mul


def add(node: Node, context: Context) -> Activation:
    """Add and Sum: any number of activations of one shape, and constants per channel."""
    constants, activations = _operands(node, context)
    total = activations[0]
    for other in activations[1:]:
        total = _sum(context, total, other)
    for index in constants:
        shift = per_channel(context.weights(node, index), total.shape)
        total = _affine(context, total, np.ones_like(shift), shift)
    return total


def subtract(node: Node, context: Context) -> Activation:
    """Sub of two activations of one shape, or of an activation and a constant per channel."""
    constants, activations = _operands(node, context)
    if not constants:
        negative = _scaled(context, activations[1], -1.0)
        return _sum(context, activations[0], negative)
    constant = per_channel(context.weights(node, constants[0]), activations[0].shape)
    if constants[0] == 0:
        return _affine(context, activations[0], -np.ones_like(constant), constant)
    return _affine(context, activations[0], np.ones_like(constant), -constant)


def multiply(node: Node, context: Context) -> Activation:
    """Mul of two activations, the one perhaps with one number per channel, or by a constant per channel."""
    constants, activations = _operands(node, context)
    if constants:
        factor = per_channel(context.weights(node, constants[0]), activations[0].shape)
        return _affine(context, activations[0], factor, np.zeros_like(factor))
    large, small = sorted(activations, key=lambda activation: -math.prod(activation.shape))
    if small.shape not in (large.shape, (*large.shape[:2], *(1,) * (len(large.shape) - 2))):
        raise UnsupportedNodeError(
            f"its inputs are {activations[0].shape} and {activations[1].shape}; "
            "only equal shapes, or N x C x 1 x 1 as one of them, are supported"
        )
    value = context.emit(Mul(), context.side_by_side([large, small]))
    return Activation(value, large.shape)


def divide(node: Node, context: Context) -> Activation:
    """Div by a constant per channel."""
    constants, activations = _operands(node, context)
    if constants != [1]:
        raise UnsupportedNodeError("only division of an activation by a constant is supported")
    divisor = per_channel(context.weights(node, 1), activations[0].shape)
    if not divisor.all():
        raise UnsupportedNodeError("its divisor is 0")
    return _affine(context, activations[0], np.float32(1) / divisor, np.zeros_like(divisor))


def negate(node: Node, context: Context) -> Activation:
    """Neg."""
    return _scaled(context, context.activation(node), -1.0)


def minimum(node: Node, context: Context) -> Activation:
    """Min of an activation and a number: a clip from above."""
    activation, limit = _limited(node, context)
    return context.result(Clip(-math.inf, limit), activation)


def maximum(node: Node, context: Context) -> Activation:
    """Max of an activation and a number: a clip from below."""
    activation, limit = _limited(node, context)
    return context.result(Clip(limit, math.inf), activation)


def _operands(node: Node, context: Context) -> tuple[list[int], list[Activation]]:
    """Indices of the constant inputs, and all other inputs."""
    constants = [index for index in range(len(node.inputs)) if context.is_constant(node, index)]
    activations = [context.activation(node, index) for index in range(len(node.inputs)) if index not in constants]
    return constants, activations


def _limited(node: Node, context: Context) -> tuple[Activation, float]:
    constants, activations = _operands(node, context)
    if len(constants) != 1 or len(activations) != 1:
        raise UnsupportedNodeError("only one activation and one constant number are supported")
    limit = per_channel(context.weights(node, constants[0]), activations[0].shape)
    if not (limit == limit[0]).all():
        raise UnsupportedNodeError("its limit differs between channels")
    return activations[0], float(limit[0])


def _sum(context: Context, first: Activation, second: Activation) -> Activation:
    if first.shape != second.shape:
        raise UnsupportedNodeError(f"its inputs are {first.shape} and {second.shape}; only equal shapes are supported")
    return Activation(context.emit(Add(), context.side_by_side([first, second])), first.shape)


def _scaled(context: Context, activation: Activation, factor: float) -> Activation:
    scale = per_channel(np.array(factor, np.float32), activation.shape)
    return _affine(context, activation, scale, np.zeros_like(scale))


def _affine(context: Context, activation: Activation, scale: Array, shift: Array) -> Activation:
    constants = [("scale", scale), ("shift", shift)]
    return context.result(Affine(), activation, constants)


CONVERTERS = {
    "Add": add,
    "Sum": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Neg": negate,
    "Min": minimum,
    "Max": maximum,
}
