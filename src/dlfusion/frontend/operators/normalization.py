"""Normalizations."""

import math

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, number
from dlfusion.frontend.context import Activation, Context, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.affine import Affine
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.softmax import Softmax


def batch_normalization(node: Node, context: Context) -> Activation:
    """BatchNormalization with fixed statistics: a scale and a shift per channel."""
    if integer(node, "training_mode", 0):
        raise UnsupportedNodeError("training_mode is 1; models are only run, not trained")
    if context.opset < 9 and integer(node, "spatial", 1) != 1:
        raise UnsupportedNodeError("spatial is 0; only statistics per channel are supported")
    activation = context.activation(node)
    scale, shift, mean, variance = (context.weights(node, index).astype(np.float64) for index in range(1, 5))
    factor = scale / np.sqrt(variance + number(node, "epsilon", 1e-5))
    constants = [
        ("scale", factor.astype(np.float32)),
        ("shift", (shift - mean * factor).astype(np.float32)),
    ]
    return context.result(Affine(), activation, constants)


def local_response_normalization(node: Node, context: Context) -> Activation:
    """LRN."""
    operator = Lrn(
        integer(node, "size", 1), number(node, "alpha", 1e-4), number(node, "beta", 0.75), number(node, "bias", 1.0)
    )
    return context.result(operator, context.activation(node))


def softmax(node: Node, context: Context) -> Activation:
    """Softmax: before opset 13 over all axes from `axis` on, since then over `axis` alone."""
    activation = context.activation(node)
    rank = len(activation.shape)
    axis = integer(node, "axis", -1 if context.opset >= 13 else 1)
    axis = from_front(axis, rank)
    end = axis + 1 if context.opset >= 13 else rank
    before, over, after = (
        math.prod(activation.shape[part]) for part in (slice(axis), slice(axis, end), slice(end, None))
    )
    value = context.emit(Softmax(), [context.merged(activation, before, over, after)])
    return Activation(value, activation.shape)


CONVERTERS = {
    "BatchNormalization": batch_normalization,
    "LRN": local_response_normalization,
    "Softmax": softmax,
}
