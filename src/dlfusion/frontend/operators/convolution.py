"""Convolution and transposed convolution."""

from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.attributes import integer, integers, padding, pair, per_axis, sliding, split_padding, text
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.graph.graph import Array
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.spatial import extent


def conv(node: Node, context: Context) -> Activation:
    """Conv with constant weights, in one or two dimensions."""
    activation, weights = context.activation(node), context.weights(node, 1)
    _require_rank(activation.shape, weights)
    window = sliding(node, weights.shape[2:], activation.shape[2:])
    operator = Conv(window.kernel, window.strides, window.pads, window.dilations, integer(node, "group", 1))
    bias = _bias(node, context, weights.shape[0])
    constants = [("weights", _four(weights)), ("bias", bias)]
    value = context.emit(operator, [context.map_of(activation)], constants)
    return context.of_rank(value, len(activation.shape))


def conv_transpose(node: Node, context: Context) -> Activation:
    """ConvTranspose with constant weights, in one or two dimensions."""
    activation, weights = context.activation(node), context.weights(node, 1)
    _require_rank(activation.shape, weights)
    rank = len(activation.shape) - 2
    groups = integer(node, "group", 1)
    pads, output_padding = _transposed_padding(node, activation.shape[2:], weights.shape[2:])
    operator = ConvTranspose(
        pair(weights.shape[2:], 1),
        pair(per_axis(node, "strides", rank, 1), 1),
        padding(pads),
        pair(per_axis(node, "dilations", rank, 1), 1),
        pair(output_padding, 0),
        groups,
    )
    bias = _bias(node, context, weights.shape[1] * groups)
    constants = [("weights", _four(weights)), ("bias", bias)]
    value = context.emit(operator, [context.map_of(activation)], constants)
    return context.of_rank(value, len(activation.shape))


def _transposed_padding(
    node: Node, size: Sequence[int], kernel: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The crop at the beginnings and ends of all axes, and what is added at the ends before.

    `output_shape` or `auto_pad` may state them indirectly. An output that is larger than what kernel and stride reach
    has more at its ends if `output_shape` asks for it; `auto_pad` then crops nothing.
    """
    rank = len(size)
    strides = per_axis(node, "strides", rank, 1)
    dilations = per_axis(node, "dilations", rank, 1)
    added = per_axis(node, "output_padding", rank, 0)
    mode = text(node, "auto_pad", "NOTSET")
    wanted = integers(node, "output_shape")
    if wanted is None and mode in ("NOTSET", "VALID"):
        return per_axis(node, "pads", 2 * rank, 0) if mode == "NOTSET" else (0,) * (2 * rank), added
    if wanted is None:
        target = tuple(length * stride for length, stride in zip(size, strides, strict=True))
    elif len(wanted) < rank:
        raise InvalidNodeError(f"output_shape is {list(wanted)}, but must have {rank} numbers")
    else:
        target = wanted[-rank:]
    totals = [
        (size[axis] - 1) * strides[axis] + added[axis] + extent(kernel[axis], dilations[axis]) - target[axis]
        for axis in range(rank)
    ]
    if wanted is not None:
        added = tuple(more + max(0, -total) for more, total in zip(added, totals, strict=True))
    return split_padding([max(0, total) for total in totals], mode), added


def _require_rank(shape: Sequence[int], weights: Array) -> None:
    if len(shape) not in (3, 4):
        raise UnsupportedNodeError(f"its input is {tuple(shape)}; only 1 and 2 spatial dimensions are supported")
    if weights.ndim != len(shape):
        raise InvalidNodeError(f"weights of shape {weights.shape} do not fit an input of shape {tuple(shape)}")


def _bias(node: Node, context: Context, channels: int) -> Array:
    if context.optional(node, 2) is None:
        return np.zeros(channels, np.float32)
    return context.weights(node, 2)


def _four(weights: Array) -> Array:
    return weights if weights.ndim == 4 else weights[:, :, None]


CONVERTERS = {"Conv": conv, "ConvTranspose": conv_transpose}
