"""Operators on single elements, applied to activations with channels last without moving their data."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from dlfusion.frontend.context import Activation, Context
from dlfusion.frontend.model import Node, Value

ELEMENTWISE = frozenset(
    {
        *("Abs", "Add", "Cast", "Ceil", "Celu", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu"),
        *("HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "PRelu"),
        *("Pow", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Sum"),
        *("Swish", "Tanh", "ThresholdedRelu"),
    }
)
"""ONNX operators that compute each element from the same element of each input, broadcast as usual."""


def convert_in_graph_order(
    converter: Callable[[Node, Context], Activation | Sequence[Activation | None]], node: Node, context: Context
) -> Activation | None:
    """The node's result with channels last, if all its activations have them last and it works on single elements.

    The converter sees activations and constants with the axes of the graph. None if it has to see ONNX's.
    """
    if node.op_type not in ELEMENTWISE:
        return None
    given = [context.lookup(value) for value in node.inputs if value is not None and value.constant is None]
    activations = [_with_channels_last(activation, context) for activation in given]
    if not any(one.channels_last for one in given) or not all(one.channels_last for one in activations):
        return None
    try:
        shape = tuple(int(size) for size in np.broadcast_shapes(*(one.shape for one in activations)))
    except ValueError:
        return None
    inputs = [_in_graph_order(value, shape, context) for value in node.inputs if value is not None]
    if len({len(one.shape) for one in activations}) > 1 or None in inputs:
        return None
    turned = iter(inputs)
    result = converter(
        replace(node, inputs=tuple(None if value is None else next(turned) for value in node.inputs)), context
    )
    if not isinstance(result, Activation):
        raise TypeError(f"{node.op_type} has one output, but its converter returned {len(result)}")
    return Activation(result.value, shape, channels_last=True)


def _with_channels_last(activation: Activation, context: Context) -> Activation:
    """The activation, with channels last if it has but one place and so has them anywhere."""
    batch, *places, channels = activation.shape if len(activation.shape) > 2 else (0, 0, 0)
    is_free = prod(places) == 1 and context.shapes[activation.value][:2] == (batch, channels)
    return replace(activation, channels_last=activation.channels_last or is_free)


def _in_graph_order(value: Value, shape: tuple[int, ...], context: Context) -> Value | None:
    """The input with channels second; None if it varies along the map and so has no such form.

    An activation gets the four axes of its value, so that all that have the same map can meet.
    """
    channels = shape[-1]
    if value.constant is None:
        activation = context.lookup(value)
        if activation.shape != shape and prod(activation.shape) != shape[0] * channels:
            return None
        turned = f"{value.name}, channels second"
        sizes = context.shapes[activation.value]
        context.bind(turned, Activation(activation.value, sizes))
        return Value(turned, sizes)
    constant = value.constant()
    if constant.size == 1:
        return replace(value, shape=(), constant=lambda: constant.reshape(()))
    if constant.shape[-1:] != (channels,) or constant.size != channels:
        return None
    return replace(value, shape=(channels, 1, 1), constant=lambda: constant.reshape(channels, 1, 1))
