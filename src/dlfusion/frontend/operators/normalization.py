"""Normalizations."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, integers, number
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, Outputs, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.frontend.operators.layout import in_order
from dlfusion.graph.graph import Array
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub
from dlfusion.ops.transpose import Transpose


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
    return _over_axes(node, context, Softmax())


def log_softmax(node: Node, context: Context) -> Activation:
    """LogSoftmax: before opset 13 over all axes from `axis` on, since then over `axis` alone."""
    return _over_axes(node, context, LogSoftmax())


def lp_normalization(node: Node, context: Context) -> Activation:
    """LpNormalization over channels or the last axis."""
    seen = context.seen(node)
    axis = from_front(integer(node, "axis", -1), len(seen.shape))
    return _over_axis(context, seen, axis, LpNormalize(integer(node, "p", 2)))


def instance_normalization(node: Node, context: Context) -> Activation:
    """InstanceNormalization."""
    activation = context.activation(node)
    scale, shift = context.weights(node, 1), context.weights(node, 2)
    return _over_groups(context, activation, activation.shape[1], number(node, "epsilon", 1e-5), (scale, shift))


def group_normalization(node: Node, context: Context) -> Activation:
    """GroupNormalization, with a scale and a shift of each group (opset 18) or channel (21)."""
    activation = context.activation(node)
    scale, shift = context.weights(node, 1), context.weights(node, 2)
    groups = integer(node, "num_groups", 1)
    return _over_groups(context, activation, groups, number(node, "epsilon", 1e-5), (scale, shift))


def layer_normalization(node: Node, context: Context) -> Outputs:
    """LayerNormalization over the axes from any behind the batch on; mean and deviation cost operators of their own."""
    seen = context.seen(node)
    axis = from_front(integer(node, "axis", -1), len(seen.shape))
    if axis == 0:
        raise UnsupportedNodeError(f"it normalizes all axes of {seen.shape}, the batch among them")
    epsilon = number(node, "epsilon", 1e-5)
    return (_normalized(node, context, seen, axis, epsilon), *_statistics(node, context, seen, axis, epsilon))


def _normalized(node: Node, context: Context, seen: Activation, axis: int, epsilon: float) -> Activation:
    """The first output of LayerNormalization."""
    scale = context.weights(node, 1)
    shift = np.zeros_like(scale) if context.optional(node, 2) is None else context.weights(node, 2)
    normalized = seen.shape[axis:]
    try:
        scale, shift = np.broadcast_to(scale, normalized), np.broadcast_to(shift, normalized)
    except ValueError as error:
        raise InvalidNodeError(f"{scale.shape} and {shift.shape} do not fit normalized axes of {normalized}") from error
    if axis == len(seen.shape) - 1:
        result = _over_axis(context, seen, axis, LayerNormalize(epsilon))
        value = context.emit(Affine(), [result.value], [("scale", scale), ("shift", shift)], role="scaled")
        return replace(result, value=value)
    if axis > 1:
        return _over_last_axes(context, seen, axis, epsilon, (scale, shift))
    activation = context.plain(seen)
    value = context.emit(GroupNormalize(1, epsilon), [context.canonical(activation)])
    return _scaled_by_element(context, Activation(value, activation.shape), scale, shift)


def _statistics(node: Node, context: Context, seen: Activation, axis: int, epsilon: float) -> tuple[Activation, ...]:
    """The mean over the axes from `axis` on and 1 / sqrt(variance + epsilon), as far as they are read."""
    wanted = [output.is_read for output in node.outputs[1:]]
    if not any(wanted):
        return ()
    activation = context.plain(seen)
    batch, groups, places = activation.shape[0], math.prod(seen.shape[1:axis]), math.prod(seen.shape[axis:])
    value = context.reshaped(activation, (batch, groups, 1, places))
    mean = context.emit(GlobalAveragePool(), [value], role="mean")
    values = [mean]
    if wanted[1:] == [True]:
        difference = context.emit(Sub(), [value, mean], role="difference")
        square = context.emit(Mul(), [difference, difference], role="square")
        variance = context.emit(GlobalAveragePool(), [square], role="variance")
        offset = [("scale", np.ones(groups, np.float32)), ("shift", np.full(groups, epsilon, np.float32))]
        deviation = context.emit(Sqrt(), [context.emit(Affine(), [variance], offset, role="offset")], role="deviation")
        values.append(context.emit(Reciprocal(), [deviation], role="inverse"))
    shape = (*seen.shape[:axis], *(1,) * (len(seen.shape) - axis))
    return tuple(Activation(value, shape) for value in values)


def _over_last_axes(
    context: Context, seen: Activation, axis: int, epsilon: float, parameters: tuple[Array, Array]
) -> Activation:
    """The axes from `axis` on, with a scale and a shift of each place in them."""
    activation = context.plain(seen)
    groups, places = math.prod(activation.shape[1:axis]), math.prod(activation.shape[axis:])
    value = context.merged(activation, activation.shape[0], groups, places)
    value = context.emit(GroupNormalize(groups, epsilon), [value])
    size = (1, *context.shapes[value][2:])
    for operator, array, neutral, role in zip((Mul(), Add()), parameters, (1, 0), ("scaled", "shifted"), strict=True):
        if (array != neutral).any():
            value = context.emit(operator, [value], [("operand", array.reshape(size))], role)
    return Activation(value, activation.shape)


def mean_variance_normalization(node: Node, context: Context) -> Activation:
    """MeanVarianceNormalization over any axes but the batch; also where it is spelled out."""
    seen = context.seen(node)
    rank = len(seen.shape)
    axes = {from_front(axis, rank) for axis in integers(node, "axes") or (0, 2, 3)}
    axes = {axis for axis in axes if seen.shape[axis] > 1}
    epsilon = number(node, "epsilon", 1e-9)
    if len(axes) == 1 and 0 not in axes:
        return _over_axis(context, seen, min(axes), LayerNormalize(epsilon))
    activation = context.plain(seen)
    wide = {axis for axis in range(1, rank) if activation.shape[axis] > 1}
    if 0 in axes:
        raise UnsupportedNodeError(f"it normalizes axes {sorted(axes)} of {seen.shape}, which has a batch of several")
    if axes not in (wide, wide - {1}):
        return _over_some_axes(context, activation, axes, epsilon)
    groups = activation.shape[1] if axes == wide - {1} else 1
    return Activation(context.emit(GroupNormalize(groups, epsilon), [context.canonical(activation)]), activation.shape)


def _over_some_axes(context: Context, activation: Activation, axes: set[int], epsilon: float) -> Activation:
    """The axes brought behind all others, and back: as Keras normalizes groups of channels that are last."""
    others = [axis for axis in range(1, len(activation.shape)) if axis not in axes]
    order = [0, *others, *sorted(axes)]
    turned = in_order(context, activation, order)
    groups, places = (math.prod(activation.shape[axis] for axis in part) for part in (others, axes))
    value = context.merged(turned, activation.shape[0], groups, places)
    normalized = Activation(context.emit(GroupNormalize(groups, epsilon), [value]), turned.shape)
    return in_order(context, normalized, [order.index(axis) for axis in range(len(order))])


def _over_axes(node: Node, context: Context, operator: Operator) -> Activation:
    """An operator over one axis, before opset 13 over all axes from that on."""
    seen = context.seen(node)
    rank = len(seen.shape)
    axis = from_front(integer(node, "axis", -1 if context.opset >= 13 else 1), rank)
    if context.opset >= 13 or axis == rank - 1:
        return _over_axis(context, seen, axis, operator)
    first = max(axis, 1) if seen.shape[0] == 1 else axis
    joined = Activation(context.plain(seen).value, (*seen.shape[:first], math.prod(seen.shape[first:])))
    return Activation(context.plain(_over_axis(context, joined, first, operator)).value, seen.shape)


def _over_axis(context: Context, seen: Activation, axis: int, operator: Operator) -> Activation:
    """An operator over channels, applied to any axis behind the batch, which is moved in their place if need be."""
    if axis == 0:
        raise UnsupportedNodeError(f"it works along axis 0 of {seen.shape}, the batch")
    batch, before = seen.shape[0], math.prod(seen.shape[1:axis])
    over, after = seen.shape[axis], math.prod(seen.shape[axis + 1 :])
    if axis == len(seen.shape) - 1 > 1:
        last = context.last(seen)
        return replace(last, value=context.emit(operator, [last.value]))
    activation = context.plain(seen)
    if before == 1:
        return Activation(context.emit(operator, [context.merged(activation, batch, over, after)]), activation.shape)
    value = context.reshaped(activation, (batch, before, over, after))
    value = context.emit(Transpose((2, 1, 3)), [value], role="turned")
    value = context.emit(Transpose((2, 1, 3)), [context.emit(operator, [value])], role="back")
    return Activation(value, activation.shape)


def _over_groups(
    context: Context, activation: Activation, groups: int, epsilon: float, parameters: tuple[Array, Array]
) -> Activation:
    """Groups of channels over the map, then a scale and a shift for each group or channel."""
    batch, channels, *_ = activation.shape
    own = context.shapes[activation.value]
    # The second axis of a map that was reshaped to batch x groups x rest: its own channels divide into the same groups.
    divides = own[0] == batch and own[1] % groups == 0 and channels == groups
    value = activation.value if divides else context.canonical(activation)
    value = context.emit(GroupNormalize(groups, epsilon), [value])
    channels = context.shapes[value][1]
    arrays = [np.repeat(array, channels // array.size) if channels % array.size == 0 else array for array in parameters]
    value = context.emit(Affine(), [value], list(zip(("scale", "shift"), arrays, strict=True)), role="scaled")
    return Activation(value, activation.shape)


def _scaled_by_element(context: Context, activation: Activation, scale: Array, shift: Array) -> Activation:
    """A scale and a shift for each element of an image: for each channel where that is the same."""
    sizes = (-1, activation.shape[1], math.prod(activation.shape[2:]))
    if all((array.reshape(sizes) == array.reshape(sizes)[:, :, :1]).all() for array in (scale, shift)):
        arrays = [array.reshape(sizes)[0, :, 0] for array in (scale, shift)]
        value = context.canonical(activation)
    else:
        arrays = [array.reshape(-1) for array in (scale, shift)]
        value = context.merged(activation, activation.shape[0], math.prod(activation.shape[1:]), 1)
    value = context.emit(Affine(), [value], list(zip(("scale", "shift"), arrays, strict=True)), role="scaled")
    return Activation(value, activation.shape)


CONVERTERS: dict[str, Callable[[Node, Context], Outputs]] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "LRN": local_response_normalization,
    "Softmax": softmax,
}
