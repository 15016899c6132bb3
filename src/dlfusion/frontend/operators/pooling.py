"""Pooling, over windows and over whole maps."""

import math
from dataclasses import replace

import numpy as np

from dlfusion.frontend.attributes import Sliding, integer, integers, per_axis, sliding, text
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError, map_axes
from dlfusion.frontend.model import Attribute, Node
from dlfusion.frontend.operators.reduction import scaled
from dlfusion.ops.abs import Abs
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.operator import Operator
from dlfusion.ops.pow import Pow
from dlfusion.ops.spatial import Padding, Pair, ceil_mode_excess


def max_pool(node: Node, context: Context) -> Activation:
    """MaxPool, without its indices (whose order, storage_order, then has no effect); ceil mode becomes padding."""
    activation = context.activation(node)
    window = _window(node, activation)
    pads = _padding(node, activation, window)
    return _pooled(context, activation, MaxPool(window.kernel, window.strides, pads, window.dilations))


def lp_pool(node: Node, context: Context) -> Activation:
    """LpPool of any norm; ceil mode becomes padding. Others than 1 and 2 are a few operators each."""
    activation = context.activation(node)
    window = _window(node, activation)
    pads = _padding(node, activation, window)
    norm = _norm(node)
    if norm <= 2:
        return _pooled(context, activation, LpPool(window.kernel, window.strides, pads, window.dilations, norm))
    mean = AveragePool(window.kernel, window.strides, pads, count_include_pad=True, dilations=window.dilations)
    value = _norm_by_mean(context, context.map_of(activation), norm, mean, math.prod(window.kernel))
    return context.of_rank(value, len(activation.shape))


def average_pool(node: Node, context: Context) -> Activation:
    """AveragePool; in three dimensions if windows are 1 wide along the last two, as in PyTorch's LRN."""
    activation = context.activation(node)
    return (_over_first_axis if len(activation.shape) == 5 else _averaged)(node, context, activation)


def _averaged(node: Node, context: Context, activation: Activation) -> Activation:
    """Averages over the windows that the node states, of an activation that need not be its input."""
    window = _window(node, activation)
    excess = _excess(node, activation, window)
    counts = bool(integer(node, "count_include_pad", 0))
    operator = AveragePool(window.kernel, window.strides, window.pads, excess, counts, window.dilations)
    return _pooled(context, activation, operator)


def _over_first_axis(node: Node, context: Context, activation: Activation) -> Activation:
    """A pool in three dimensions that moves along the first of them alone, with the other two as columns."""
    first, *others = activation.shape[2:]
    kernel = integers(node, "kernel_shape") or ()
    strides, pads = per_axis(node, "strides", 3, 1), per_axis(node, "pads", 6, 0)
    rest = (*kernel[1:], *strides[1:], *(pad + 1 for pad in (*pads[1:3], *pads[4:])))
    if len(kernel) != 3 or set(rest) != {1} or text(node, "auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedNodeError(
            f"it moves a window of {list(kernel)} over {activation.shape}; in three dimensions only along the first"
        )
    values = {"kernel_shape": kernel[0], "strides": strides[0], "dilations": per_axis(node, "dilations", 3, 1)[0]}
    lists = {name: (value, 1) for name, value in values.items()} | {"pads": (pads[0], 0, pads[3], 0)}
    attributes = {name: Attribute("INTS", numbers) for name, numbers in lists.items()}
    plane = Activation(activation.value, (*activation.shape[:2], first, math.prod(others)))
    pooled = _averaged(replace(node, attributes={**node.attributes, **attributes}), context, plane)
    return Activation(pooled.value, (*pooled.shape[:3], *others))


def global_average_pool(node: Node, context: Context) -> Activation:
    """GlobalAveragePool."""
    return _global(context, context.activation(node), GlobalAveragePool())


def global_max_pool(node: Node, context: Context) -> Activation:
    """GlobalMaxPool."""
    return _global(context, context.activation(node), GlobalMaxPool())


def global_lp_pool(node: Node, context: Context) -> Activation:
    """GlobalLpPool of any norm; others than 1 and 2 are a few operators each."""
    activation = context.activation(node)
    norm = _norm(node)
    if norm <= 2:
        return _global(context, activation, GlobalLpPool(norm))
    batch, channels, *places = activation.shape
    value = _norm_by_mean(context, context.as_it_lies(activation), norm, GlobalAveragePool(), math.prod(places))
    return Activation(value, (batch, channels, *(1,) * len(places)))


def _window(node: Node, activation: Activation) -> Sliding:
    kernel = integers(node, "kernel_shape")
    if kernel is None:
        raise InvalidNodeError("the attribute kernel_shape is missing")
    return sliding(node, kernel, activation.shape[2:])


def _norm(node: Node) -> int:
    norm = integer(node, "p", 2)
    if norm < 1:
        raise InvalidNodeError(f"p is {norm}; norms are 1 and more")
    return norm


def _norm_by_mean(context: Context, value: str, norm: int, mean: Operator, count: int) -> str:
    """(count * mean(|x| ^ norm)) ^ (1 / norm), where `mean` takes that of `count` elements."""
    value = context.emit(Abs(), [value], role="magnitudes")
    value = _power(context, value, norm, "powers")
    value = context.emit(mean, [value], role="mean")
    return _power(context, scaled(context, value, count, "sum"), 1 / norm, "root")


def _power(context: Context, value: str, exponent: float, role: str) -> str:
    return context.emit(Pow(), [value], [("operand", np.full((1, 1, 1), exponent, np.float32))], role)


def _padding(node: Node, activation: Activation, window: Sliding) -> Padding:
    """The declared padding and what ceil mode adds."""
    rows, columns = _excess(node, activation, window)
    top, left, bottom, right = window.pads
    return (top, left, bottom + rows, right + columns)


def _excess(node: Node, activation: Activation, window: Sliding) -> Pair:
    if not integer(node, "ceil_mode", 0):
        return (0, 0)
    height, width = map_axes(activation.shape)[2:]
    top, left, bottom, right = window.pads
    return (
        ceil_mode_excess(height, window.kernel[0], window.strides[0], window.dilations[0], top, bottom),
        ceil_mode_excess(width, window.kernel[1], window.strides[1], window.dilations[1], left, right),
    )


def _pooled(context: Context, activation: Activation, operator: Operator) -> Activation:
    value = context.emit(operator, [context.map_of(activation)])
    return context.of_rank(value, len(activation.shape))


def _global(context: Context, activation: Activation, operator: Operator) -> Activation:
    if len(activation.shape) < 3:
        raise InvalidNodeError(f"its input of shape {activation.shape} has no map")
    value = context.emit(operator, [context.as_it_lies(activation)])
    return Activation(value, (*activation.shape[:2], *(1,) * (len(activation.shape) - 2)))


CONVERTERS = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "GlobalLpPool": global_lp_pool,
    "LpPool": lp_pool,
}
