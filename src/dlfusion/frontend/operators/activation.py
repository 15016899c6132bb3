"""Activation functions."""

import math

import numpy as np

from dlfusion.frontend.attributes import number, text
from dlfusion.frontend.broadcasting import per_channel, with_constant
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.add import Add
from dlfusion.ops.celu import Celu
from dlfusion.ops.clip import Clip
from dlfusion.ops.elu import Elu
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.selu import Selu
from dlfusion.ops.swish import Swish
from dlfusion.ops.thresholded_relu import ThresholdedRelu

LARGEST = float(np.finfo(np.float32).max)


def relu(node: Node, context: Context) -> Activation:
    """Relu, a clip from below."""
    return _apply(node, context, Clip())


def clip(node: Node, context: Context) -> Activation:
    """Clip; the limits are attributes before opset 11 and inputs since."""
    if context.opset < 11:
        low, high = number(node, "min", -LARGEST), number(node, "max", LARGEST)
    else:
        low, high = context.number(node, 1, -math.inf), context.number(node, 2, math.inf)
    # ONNX's default limits are the largest floats, which no finite value exceeds.
    low = -math.inf if low <= -LARGEST else low
    high = math.inf if high >= LARGEST else high
    # A lower limit above the upper one yields the upper one, as ONNX defines it.
    return _apply(node, context, Clip(min(low, high), high))


def leaky_relu(node: Node, context: Context) -> Activation:
    """LeakyRelu."""
    return _apply(node, context, LeakyRelu(number(node, "alpha", 0.01)))


def p_relu(node: Node, context: Context) -> Activation:
    """PRelu with constant slopes; those of single places rather than channels cost a few operators."""
    activation, slopes = context.activation(node), context.weights(node, 1)
    operand = with_constant(context, activation, slopes)
    if operand.shape != activation.shape:
        raise InvalidNodeError(f"its slopes of shape {slopes.shape} do not broadcast to {activation.shape}")
    if operand.is_per_channel:
        slope = per_channel(operand.array, context.shapes[operand.value][1])
        return context.result(PRelu(), activation, [("slope", slope)])
    negative = context.emit(Clip(-math.inf, 0.0), [operand.value], role="negative")
    negative = context.emit(Mul(), [negative], [("operand", operand.array)], role="scaled")
    positive = context.emit(Clip(), [operand.value], role="positive")
    return Activation(context.emit(Add(), [positive, negative]), activation.shape)


def elu(node: Node, context: Context) -> Activation:
    """Elu."""
    return _apply(node, context, Elu(number(node, "alpha", 1.0)))


def selu(node: Node, context: Context) -> Activation:
    """Selu."""
    standard = Selu()
    return _apply(node, context, Selu(number(node, "alpha", standard.alpha), number(node, "gamma", standard.gamma)))


def celu(node: Node, context: Context) -> Activation:
    """Celu with a positive alpha."""
    alpha = number(node, "alpha", 1.0)
    if not alpha > 0:
        raise UnsupportedNodeError(f"alpha is {alpha}; only positive ones are supported")
    return _apply(node, context, Celu(alpha))


def thresholded_relu(node: Node, context: Context) -> Activation:
    """ThresholdedRelu."""
    return _apply(node, context, ThresholdedRelu(number(node, "alpha", 1.0)))


def swish(node: Node, context: Context) -> Activation:
    """Swish; a product of an activation and its Sigmoid becomes one too."""
    return _apply(node, context, Swish(number(node, "alpha", 1.0)))


def gelu(node: Node, context: Context) -> Activation:
    """Gelu, exact and by Tanh."""
    approximate = text(node, "approximate", "none")
    if approximate not in ("none", "tanh"):
        raise UnsupportedNodeError(f"approximate is {approximate}; none and tanh are supported")
    return _apply(node, context, Gelu(by_tanh=approximate == "tanh"))


def hard_sigmoid(node: Node, context: Context) -> Activation:
    """HardSigmoid."""
    return _apply(node, context, HardSigmoid(number(node, "alpha", 0.2), number(node, "beta", 0.5)))


def _apply(node: Node, context: Context, operator: Operator) -> Activation:
    return context.result(operator, context.activation(node))


CONVERTERS = {
    "Relu": relu,
    "Clip": clip,
    "LeakyRelu": leaky_relu,
    "PRelu": p_relu,
    "Elu": elu,
    "Selu": selu,
    "Celu": celu,
    "ThresholdedRelu": thresholded_relu,
    "Swish": swish,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
}
