"""Activation functions."""

import math

import numpy as np

from dlfusion.frontend.attributes import number
from dlfusion.frontend.broadcasting import per_channel
from dlfusion.frontend.context import Activation, Context, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.clip import Clip
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.operator import Operator
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.tanh import Tanh

LARGEST = float(np.finfo(np.float32).max)


def relu(node: Node, context: Context) -> Activation:
    """Relu, a clip from below."""
    return _apply(node, context, Clip(0.0, math.inf))


def clip(node: Node, context: Context) -> Activation:
    """Clip; the limits are attributes before opset 11 and inputs since."""
    if context.opset < 11:
        low, high = number(node, "min", -LARGEST), number(node, "max", LARGEST)
    else:
        low, high = _limit(node, context, 1, -math.inf), _limit(node, context, 2, math.inf)
    # ONNX's default limits are the largest floats, which no finite value exceeds.
    low = -math.inf if low <= -LARGEST else low
    high = math.inf if high >= LARGEST else high
    if low > high:
        raise UnsupportedNodeError(f"its lower limit {low} is above its upper limit {high}")
    return _apply(node, context, Clip(low, high))


def leaky_relu(node: Node, context: Context) -> Activation:
    """LeakyRelu."""
    return _apply(node, context, LeakyRelu(number(node, "alpha", 0.01)))


def p_relu(node: Node, context: Context) -> Activation:
    """PRelu with one slope, or one per channel."""
    activation = context.activation(node)
    slope = per_channel(context.weights(node, 1), activation.shape)
    return context.result(PRelu(), activation, [("slope", slope)])


def sigmoid(node: Node, context: Context) -> Activation:
    """Sigmoid."""
    return _apply(node, context, Sigmoid())


def tanh(node: Node, context: Context) -> Activation:
    """Tanh."""
    return _apply(node, context, Tanh())


def hard_sigmoid(node: Node, context: Context) -> Activation:
    """HardSigmoid."""
    return _apply(node, context, HardSigmoid(number(node, "alpha", 0.2), number(node, "beta", 0.5)))


def hard_swish(node: Node, context: Context) -> Activation:
    """HardSwish."""
    return _apply(node, context, HardSwish())


def _apply(node: Node, context: Context, operator: Operator) -> Activation:
    return context.result(operator, context.activation(node))


def _limit(node: Node, context: Context, index: int, default: float) -> float:
    array = context.optional(node, index)
    return default if array is None else float(array.astype(np.float32).reshape(-1)[0])


CONVERTERS = {
    "Relu": relu,
    "Clip": clip,
    "LeakyRelu": leaky_relu,
    "PRelu": p_relu,
    "Sigmoid": sigmoid,
    "Tanh": tanh,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
}
