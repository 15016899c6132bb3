"""Operators on single elements, applied to activations with channels last without moving their data."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from dlfusion.frontend.context import Activation, Context, Outputs
from dlfusion.frontend.model import Node, Value
from dlfusion.ops.operator import Shape

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
    converter: Callable[[Node, Context], Outputs], node: Node, context: Context
) -> Activation | None:
    """The result of a node that works on single elements, with channels last, if its inputs have them last.

    The converter sees activations and constants with the axes of the graph. None if it has to see ONNX's.
    """
    if node.op_type not in ELEMENTWISE:
        return None
    given = {value.name: context.lookup(value) for value in node.inputs if value is not None and value.constant is None}
    shape = _common_shape([activation.shape for activation in given.values()])
    if shape is None:
        return None
    constants = [value.constant() for value in node.inputs if value is not None and value.constant is not None]
    if not all(_fits(constant, shape) for constant in constants):
        return None
    if any(activation.channels_last for activation in given.values()):
        turned = {name: _with_channels_last(activation, context) for name, activation in given.items()}
    elif _belong_last([activation.shape for activation in given.values()], constants, shape):
        turned = {name: context.last(activation) for name, activation in given.items()}
    else:
        return None
    if not all(activation.channels_last for activation in turned.values()):
        return None
    largest = max(turned.values(), key=lambda activation: prod(activation.shape))
    sizes = context.shapes[largest.value]
    inputs = tuple(None if value is None else _in_graph_order(value, turned, sizes, context) for value in node.inputs)
    result = converter(replace(node, inputs=inputs), context)
    if not isinstance(result, Activation):
        raise TypeError(f"{node.op_type} has one output, but its converter returned {len(result)}")
    return Activation(result.value, shape, channels_last=True)


def _common_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape of the result, if each activation has it, or one place of it, and it has channels behind a map."""
    largest = max(shapes, key=prod, default=())
    ends = {(len(shape), shape[0], shape[-1]) for shape in shapes if len(shape) > 2}
    if ends != {(len(largest), *largest[:1], *largest[-1:])} or any(len(shape) < 3 for shape in shapes):
        return None
    return largest if all(shape == largest or prod(shape[1:-1]) == 1 for shape in shapes) else None


def _fits(constant: NDArray[np.generic], shape: tuple[int, ...]) -> bool:
    """True for a number, and for one number of each channel where channels are last."""
    return constant.size == 1 or (constant.shape[-1] == constant.size == shape[-1] and constant.ndim <= len(shape))


def _belong_last(shapes: list[tuple[int, ...]], constants: list[NDArray[np.generic]], shape: tuple[int, ...]) -> bool:
    """True if an operand of a list of tokens varies along its last axis only: channels are last then.

    Where the axes are four it is more often a mask that varies along the width, which the graph can express.
    """
    if len(shape) != 3:
        return False
    small = [own for own in shapes if own != shape] + [constant.shape for constant in constants]
    return any(own[-1:] == shape[-1:] != (1,) for own in small)


def _with_channels_last(activation: Activation, context: Context) -> Activation:
    """The activation, with channels last if it has but one place and so has them anywhere."""
    batch, *places, channels = activation.shape
    is_free = prod(places) == 1 and context.shapes[activation.value][:2] == (batch, channels)
    return replace(activation, channels_last=activation.channels_last or is_free)


def _in_graph_order(value: Value, turned: Mapping[str, Activation], sizes: Shape, context: Context) -> Value:
    """The input with channels second; an activation gets the `sizes` of the largest, or one place of them."""
    if value.constant is None:
        activation = turned[value.name].channels_first
        wanted = sizes if prod(activation.shape) == prod(sizes) else (*sizes[:2], 1, 1)
        name = f"{value.name}, channels second"
        context.bind(name, Activation(context.reshaped(activation, wanted), wanted))
        return Value(name, wanted)
    constant = value.constant()
    shape = () if constant.size == 1 else (constant.size, 1, 1)
    return replace(value, shape=shape, constant=lambda: constant.reshape(shape))
