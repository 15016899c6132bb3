"""Reductions over axes: over the map, one side of it, channels, or both."""

import math
from collections.abc import Callable

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, integers
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction

NORMS = {Reduction.L1: 1, Reduction.L2: 2}
"""Norms by their power: a norm over the map and then over channels is the norm over both."""


def _converter(name: str, reduction: Reduction) -> Callable[[Node, Context], Activation]:
    def convert(node: Node, context: Context) -> Activation:
        return _reduced(node, context, reduction)

    convert.__doc__ = f"{name} over channels, the map or one side of it."
    return convert


def _reduced(node: Node, context: Context, reduction: Reduction) -> Activation:
    seen = context.seen(node)
    rank = len(seen.shape)
    axes = _axes(node, context, rank)
    if rank < 2 or (0 in axes and seen.shape[0] != 1):
        raise UnsupportedNodeError(f"it reduces the batch of {seen.shape}, axis 0")
    keeps = bool(integer(node, "keepdims", 1))
    if 0 in axes and not keeps:
        seen = context.plain(seen)
    kept = [axis for axis in range(rank) if keeps or axis not in axes]
    shape = tuple(1 if axis in axes else seen.shape[axis] for axis in kept)
    activation = seen.channels_first
    if seen.channels_last:
        axes = {0 if axis == 0 else axis % (rank - 1) + 1 for axis in axes}
    value = _without(context, activation, axes, reduction)
    return Activation(value, shape, seen.channels_last and len(shape) > 2 and rank - 1 in kept)


def _axes(node: Node, context: Context, rank: int) -> set[int]:
    """The axes to be reduced: an attribute, later an input; without any, all of them unless the node says none."""
    axes = integers(node, "axes")
    if axes is None:
        array = context.optional(node, 1)
        axes = () if array is None else tuple(int(axis) for axis in array.reshape(-1))
    if not axes and not integer(node, "noop_with_empty_axes", 0):
        axes = tuple(range(rank))
    return {from_front(axis, rank) for axis in axes}


def _without(context: Context, activation: Activation, axes: set[int], reduction: Reduction) -> str:
    """Emits the reduction: over the map, then over channels."""
    batch, channels, *places = activation.shape
    value = context.merged(activation, batch, channels, math.prod(places))
    changes_one = reduction in (Reduction.SUM_OF_SQUARES, *NORMS)
    wide = {axis for axis in range(2, len(activation.shape)) if activation.shape[axis] > 1}
    sides = axes & wide
    if sides:
        window = context.shapes[value][2:]
        if sides != wide:
            value = context.canonical(activation)
            window = _side(context.shapes[value][2:], activation, sides)
        value = _over_map(context, value, window, reduction)
    if 1 in axes and (channels > 1 or changes_one):
        # Over the map squares were summed, which are not squared again.
        rest = Reduction.SUM if sides and reduction is Reduction.SUM_OF_SQUARES else reduction
        return context.emit(ReduceChannels(rest), [value])
    if changes_one and axes and not sides:
        raise UnsupportedNodeError(f"it reduces axes of size 1 of {activation.shape}; only channels are supported")
    return value


def _side(size: tuple[int, int], activation: Activation, sides: set[int]) -> tuple[int, int]:
    """The rows and columns that become one each, if those are only some axes of a map of this size."""
    if len(activation.shape) > 4:
        raise UnsupportedNodeError(
            f"it reduces axes {sorted(sides)} of {activation.shape}; all or none behind 1 can be"
        )
    height, width = size
    return (height, 1) if 2 in sides else (1, width)


def _over_map(context: Context, value: str, window: tuple[int, int], reduction: Reduction) -> str:
    """Emits the reduction of windows of whole rows, whole columns or both."""
    match reduction:
        case Reduction.MEAN:
            return context.emit(_pool(context, value, window, GlobalAveragePool(), AveragePool(window)), [value])
        case Reduction.L1 | Reduction.L2:
            power = NORMS[reduction]
            return context.emit(_pool(context, value, window, GlobalLpPool(power), LpPool(window, p=power)), [value])
        case Reduction.MAXIMUM:
            return context.emit(_pool(context, value, window, GlobalMaxPool(), MaxPool(window)), [value])
        case Reduction.SUM:
            mean = _over_map(context, value, window, Reduction.MEAN)
            return _scaled(context, mean, math.prod(window), "sum")
        case Reduction.MINIMUM:
            negative = _scaled(context, value, -1.0, "negative")
            return _scaled(context, _over_map(context, negative, window, Reduction.MAXIMUM), -1.0, "minimum")
        case Reduction.SUM_OF_SQUARES:
            squares = context.emit(Mul(), [value, value], role="squares")
            return _over_map(context, squares, window, Reduction.SUM)
        case _:
            raise InvalidNodeError(f"{reduction} is no reduction over the map")


def _pool(context: Context, value: str, window: tuple[int, int], whole: Operator, part: Operator) -> Operator:
    return whole if context.shapes[value][2:] == window else part


def _scaled(context: Context, value: str, factor: float, role: str) -> str:
    scale = np.full(context.shapes[value][1], factor, np.float32)
    return context.emit(Affine(), [value], [("scale", scale), ("shift", np.zeros_like(scale))], role)


REDUCTIONS = {
    "ReduceMean": Reduction.MEAN,
    "ReduceSum": Reduction.SUM,
    "ReduceMax": Reduction.MAXIMUM,
    "ReduceMin": Reduction.MINIMUM,
    "ReduceSumSquare": Reduction.SUM_OF_SQUARES,
    "ReduceL1": Reduction.L1,
    "ReduceL2": Reduction.L2,
}

CONVERTERS = {name: _converter(name, reduction) for name, reduction in REDUCTIONS.items()}
