"""Matrix products with constant weights: fully connected layers."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dlfusion.frontend.attributes import integer, number, require
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.frontend.operators.reduction import sums
from dlfusion.graph.graph import Array
from dlfusion.ops.conv import Conv
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.mul import Mul


def gemm(node: Node, context: Context) -> Activation:
    """Gemm of an activation with constant weights and a constant bias that is the same for all rows."""
    activation, weights = context.activation(node), context.weights(node, 1)
    if 1 in activation.shape and integer(node, "transA", 0):
        activation = Activation(activation.value, activation.shape[::-1])
    else:
        require(node, "transA", 0)
    if weights.ndim != 2 or len(activation.shape) != 2:
        raise InvalidNodeError(f"inputs of shape {activation.shape} and {weights.shape} are no matrices")
    weights = weights if integer(node, "transB", 0) else weights.T
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    if alpha != 1:
        weights = weights * np.float32(alpha)
    bias = np.zeros(weights.shape[0], np.float32)
    if context.optional(node, 2) is not None:
        bias = bias + np.float32(beta) * _row(context.weights(node, 2), weights.shape[0])
    return _fully_connected(context, activation, weights, bias)


def matmul(node: Node, context: Context) -> Activation:
    """MatMul of an activation with a constant matrix, as a 1x1 convolution where axes are many, or with one vector."""
    constants = [index for index in (0, 1) if context.is_constant(node, index)]
    if not constants:
        return _weighted_sums(context, context.activation(node, 0), context.activation(node, 1))
    if len(constants) != 1:
        raise UnsupportedNodeError("only the product of an activation and a constant matrix is supported")
    (side,) = constants
    weights, activation = context.weights(node, side), context.seen(node, 1 - side)
    if weights.ndim > 2 and weights.size == math.prod(weights.shape[-2:]) and weights.ndim <= len(activation.shape):
        weights = weights.reshape(weights.shape[-2:])
    if weights.ndim != 2:
        raise UnsupportedNodeError(f"its constant is {weights.shape}; only a matrix is supported")
    if side == 0:
        return _left_product(context, weights, context.plain(activation))
    _require_inputs(activation.shape, -1, weights.shape[0])
    batch, places = math.prod(activation.shape[:-1]), math.prod(activation.shape[1:-1])
    if places == 1 or (not activation.channels_last and batch == context.shapes[activation.value][0]):
        bias = np.zeros(weights.shape[1], np.float32)
        result = _fully_connected(context, context.plain(activation), weights.T, bias)
        return replace(result, channels_last=places == 1 and len(result.shape) > 2)
    last = context.last(activation)
    return Activation(_pointwise(context, last.value, weights.T), (*activation.shape[:-1], weights.shape[1]), True)


def _left_product(context: Context, weights: Array, activation: Activation) -> Activation:
    """Weights (outputs x inputs) times each matrix of an N x inputs x places activation."""
    if len(activation.shape) != 3:
        raise UnsupportedNodeError(
            f"its constant is on the left of {activation.shape}; there only three axes are supported"
        )
    _require_inputs(activation.shape, 1, weights.shape[1])
    value = _pointwise(context, context.merged(activation, *activation.shape), weights)
    return Activation(value, (activation.shape[0], weights.shape[0], activation.shape[2]))


def _weighted_sums(context: Context, first: Activation, second: Activation) -> Activation:
    """A matrix times a vector, both activations: global context blocks so weigh the places of a map."""
    if min(len(first.shape), len(second.shape)) < 2:
        raise UnsupportedNodeError(f"it multiplies {first.shape} by {second.shape}; both must have a batch")
    (*outer, rows, inner), (*others, rest, columns) = first.shape, second.shape
    if inner != rest:
        raise InvalidNodeError(f"matrices of shape {first.shape} and {second.shape} do not fit")
    batch = outer[0] if outer else 1
    if outer != others or math.prod(outer) != batch or 1 not in (rows, columns):
        raise UnsupportedNodeError(
            f"it multiplies activations of {first.shape} and {second.shape}, as attention does; one of them must be "
            "constant or a vector"
        )
    over_map = columns == 1
    matrix, vector = (first, second) if over_map else (second, first)
    channels, places = matrix.shape[-2:]
    value = context.as_it_lies(Activation(matrix.value, (batch, channels, places)))
    weights = context.reshaped(vector, (batch, 1, *context.shapes[value][2:]) if over_map else (batch, channels, 1, 1))
    weighted = Activation(context.emit(Mul(), [value, weights], role="weighted"), (batch, channels, places))
    return Activation(sums(context, weighted, {2} if over_map else {1}), (*outer, rows, columns))


def _require_inputs(shape: Sequence[int], axis: int, inputs: int) -> None:
    if not shape or shape[axis] != inputs:
        raise InvalidNodeError(f"an input of shape {tuple(shape)} does not fit weights for {inputs} inputs")


def _pointwise(context: Context, value: str, weights: Array) -> str:
    """Emits weights (outputs x inputs) applied to the channels of a value, at each place of its map."""
    filters = np.ascontiguousarray(weights)[:, :, np.newaxis, np.newaxis]
    bias = np.zeros(weights.shape[0], np.float32)
    return context.emit(Conv((1, 1)), [value], [("weights", filters), ("bias", bias)])


def _row(bias: Array, outputs: int) -> Array:
    """The bias as one number per output."""
    if bias.ndim > 1 and bias.shape[0] != 1:
        if not (bias == bias[:1]).all():
            raise UnsupportedNodeError(f"its bias of shape {bias.shape} differs between rows")
        bias = bias[:1]
    if bias.size not in (1, outputs):
        raise InvalidNodeError(f"a bias of shape {bias.shape} does not fit {outputs} outputs")
    return np.broadcast_to(bias.reshape(-1), (outputs,))


def _fully_connected(context: Context, activation: Activation, weights: Array, bias: Array) -> Activation:
    """Applies weights (outputs x inputs) to the last axis of the activation."""
    outputs, inputs = weights.shape
    _require_inputs(activation.shape, -1, inputs)
    batch = math.prod(activation.shape[:-1])
    value, shape = activation.value, context.shapes[activation.value]
    if shape[0] != batch:
        shape = (batch, inputs, 1, 1)
        value = context.reshaped(activation, shape)
    # A flattened map is read in place: its weights get the map's axes instead.
    filters = np.ascontiguousarray(weights).reshape(outputs, *shape[1:])
    result = context.emit(Gemm(), [value], [("weights", filters), ("bias", bias)])
    return Activation(result, (*activation.shape[:-1], outputs))


CONVERTERS = {"Gemm": gemm, "MatMul": matmul}
