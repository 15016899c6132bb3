"""Operators that map each element on its own: activation functions, scales, sums and products."""

import math

import numpy as np

from dlfusion.ops.clip import Clip
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.operator import Shape
from dlfusion.targets.mlu100.operators.scope import LARGEST, NoForm, Scope, Tensor

RELU6_LIMIT = 6.0


def clip(scope: Scope, operator: Clip) -> None:
    """RELU or RELU6, or one of them between two scales that move the limits to 0 and to 0 and 6.

    Limits from the largest number of fp16 on limit nothing.
    """
    low = operator.low if operator.low > -LARGEST else -math.inf
    high = operator.high if operator.high < LARGEST else math.inf
    if (low, high) == (-math.inf, math.inf):
        scope.emit("copy", [scope.input], scope.output)
    elif low == 0 and high == math.inf:
        scope.activation("RELU", scope.input, scope.output)
    elif low == 0 and high == RELU6_LIMIT:
        scope.activation("RELU6", scope.input, scope.output)
    elif low == high:
        scope.scale(scope.input, scope.output, 0.0, low)
    elif high == math.inf:
        _between_scales(scope, "RELU", 1.0, -low, 1.0, low)
    elif low == -math.inf:
        _between_scales(scope, "RELU", -1.0, high, -1.0, high)
    else:
        factor = RELU6_LIMIT / (high - low)
        _between_scales(scope, "RELU6", factor, -low * factor, 1 / factor, low)


def hard_sigmoid(scope: Scope, operator: HardSigmoid) -> None:
    """RELU6 between two scales: the line times six, limited to 0..6, over six."""
    _between_scales(scope, "RELU6", RELU6_LIMIT * operator.alpha, RELU6_LIMIT * operator.beta, 1 / RELU6_LIMIT, 0.0)


def hard_swish(scope: Scope) -> None:
    """The input times RELU6(x + 3) / 6."""
    shape = scope.input.shape
    gate = _limited(scope, "RELU6", 1.0, 3.0, shape)
    sixth = scope.scale(gate, scope.tensor("gate", shape), 1 / RELU6_LIMIT, 0.0)
    scope.emit("multiply", [scope.input, sixth], scope.output)


def swish(scope: Scope, alpha: float) -> None:
    """The input times SIGMOID of it, or of a scale of it."""
    shape = scope.input.shape
    source = scope.input if alpha == 1 else scope.scale(scope.input, scope.tensor("scaled", shape), alpha, 0.0)
    gate = scope.activation("SIGMOID", source, scope.tensor("gate", shape))
    scope.emit("multiply", [scope.input, gate], scope.output)


def leaky_relu(scope: Scope, alpha: float) -> None:
    """Prelu with one slope for all channels."""
    scope.emit("prelu", [scope.input], scope.output, [np.full(scope.input.shape[1], alpha, np.float32)])


def add(scope: Scope) -> None:
    """Add of two activations of one shape."""
    first, second = _of_one_shape(scope)
    scope.emit("add", [first, second], scope.output)


def sub(scope: Scope, is_reversed: bool) -> None:
    """Add of one activation and the other times -1."""
    first, second = _of_one_shape(scope)
    kept, taken = (second, first) if is_reversed else (first, second)
    negative = scope.scale(taken, scope.tensor("negative", taken.shape), -1.0, 0.0)
    scope.emit("add", [kept, negative], scope.output)


def mul(scope: Scope) -> None:
    """Mult; CycleMult or BroadcastMult if the second operand has one factor for each channel."""
    first, second = _two_activations(scope)
    if second.shape not in (first.shape, (*first.shape[:2], 1, 1)):
        raise NoForm(f"CNML multiplies by an activation of one shape or one factor per channel, not {second.shape}")
    function = "multiply" if first.shape == second.shape else "multiply_channels"
    scope.emit(function, [first, second], scope.output)


def _of_one_shape(scope: Scope) -> tuple[Tensor, Tensor]:
    first, second = _two_activations(scope)
    if first.shape != second.shape:
        raise NoForm(f"CNML adds activations of one shape, but the second one is {second.shape}")
    return first, second


def _two_activations(scope: Scope) -> tuple[Tensor, Tensor]:
    if len(scope.inputs) != 2:
        raise NoForm("no form with a constant map in CNML is known well enough to generate it")
    first, second = scope.inputs
    return first, second


def _limited(scope: Scope, function: str, factor: float, shift: float, shape: Shape) -> Tensor:
    """An activation function of `factor * x + shift`."""
    moved = scope.scale(scope.input, scope.tensor("moved", shape), factor, shift)
    return scope.activation(function, moved, scope.tensor("limited", shape))


def _between_scales(
    scope: Scope, function: str, factor: float, shift: float, factor_back: float, shift_back: float
) -> None:
    limited = _limited(scope, function, factor, shift, scope.input.shape)
    scope.scale(limited, scope.output, factor_back, shift_back)
