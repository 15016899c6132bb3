"""Matrix products with constant weights: fully connected layers."""

import math

import numpy as np

from dlfusion.frontend.attributes import integer, number, require
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.graph.graph import Array
from dlfusion.ops.gemm import Gemm


def gemm(node: Node, context: Context) -> Activation:
    """Gemm of an activation with constant weights and a constant bias that is the same for all rows."""
    require(node, "transA", 0)
    activation, weights = context.activation(node), context.weights(node, 1)
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
    """MatMul of an activation with a constant matrix on the right."""
    if context.is_constant(node, 0) or not context.is_constant(node, 1):
        raise UnsupportedNodeError("only an activation on the left and a constant matrix on the right are supported")
    weights = context.weights(node, 1)
    if weights.ndim != 2:
        raise UnsupportedNodeError(f"its right input is {weights.shape}; only a matrix is supported")
    return _fully_connected(context, context.activation(node), weights.T, np.zeros(weights.shape[1], np.float32))


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
    if not activation.shape or activation.shape[-1] != inputs:
        raise InvalidNodeError(f"an input of shape {activation.shape} does not fit weights for {inputs} inputs")
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
