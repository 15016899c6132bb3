"""Reductions over axes: over the map, one side of it, channels, or both."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, integers
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.abs import Abs
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.clip import Clip
from dlfusion.ops.exp import Exp
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.log import Log
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub

LARGEST = float(np.finfo(np.float32).max)

Change = Callable[[Context, str], str]
"""Emits a pointwise operator and returns its result's name."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A reduction: what is done to each element, how they become one, and what is done to that.

    `channels` does all three over channels, where one operator does.
    """

    combination: Reduction
    before: Change | None = None
    after: Change | None = None
    channels: Reduction | None = None


def _converter(name: str, kind: _Kind) -> Callable[[Node, Context], Activation]:
    def convert(node: Node, context: Context) -> Activation:
        return _reduced(node, context, lambda activation, axes: _without(context, activation, axes, kind))

    convert.__doc__ = f"{name} over channels, the map or one side of it."
    return convert


def log_sum_exp(node: Node, context: Context) -> Activation:
    """ReduceLogSumExp over channels, the map or one side of it."""

    def reduce(activation: Activation, axes: set[int]) -> str:
        # Exponentials overflow where their logarithms do not, hence the largest element apart; infinite, it would make
        # differences that are NaN.
        largest = _without(context, activation, axes, _Kind(Reduction.MAXIMUM))
        finite = context.emit(Clip(-LARGEST, LARGEST), [largest], role="largest")
        value, window = _base(context, activation, axes)
        exponentials = context.emit(
            Exp(), [context.emit(Sub(), [value, finite], role="differences")], role="exponentials"
        )
        total = _combined(context, exponentials, window, 1 in axes, Reduction.SUM)
        return context.emit(Add(), [_logarithm(context, total), finite], role="shifted")

    return _reduced(node, context, reduce)


def sums(context: Context, activation: Activation, axes: set[int]) -> str:
    """Emits the sums over axes behind the batch."""
    return _without(context, activation, axes, _Kind(Reduction.SUM))


def _reduced(node: Node, context: Context, reduce: Callable[[Activation, set[int]], str]) -> Activation:
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
    value = reduce(activation, axes) if axes else activation.value
    return Activation(value, shape, seen.channels_last and len(shape) > 2 and rank - 1 in kept)


def _axes(node: Node, context: Context, rank: int) -> set[int]:
    """The axes to be reduced: an attribute, later an input; without any, all of them unless the node says none."""
    axes = integers(node, "axes")
    if axes is None:
        axes = context.integers(node, 1) or ()
    if not axes and not integer(node, "noop_with_empty_axes", 0):
        axes = tuple(range(rank))
    return {from_front(axis, rank) for axis in axes}


def _without(context: Context, activation: Activation, axes: set[int], kind: _Kind) -> str:
    """Emits the reduction."""
    value, window = _base(context, activation, axes)
    if kind.channels is not None and window is None and 1 in axes:
        return context.emit(ReduceChannels(kind.channels), [value])
    value = kind.before(context, value) if kind.before else value
    value = _combined(context, value, window, 1 in axes, kind.combination)
    return kind.after(context, value) if kind.after else value


def _base(context: Context, activation: Activation, axes: set[int]) -> tuple[str, tuple[int, int] | None]:
    """What is reduced, as a map, and the rows and columns of it that become one each; None if none do."""
    batch, channels, *places = activation.shape
    wide = {axis for axis in range(2, len(activation.shape)) if activation.shape[axis] > 1}
    sides = axes & wide
    if sides in (set(), wide):
        value = context.merged(activation, batch, channels, math.prod(places))
        return value, context.shapes[value][2:] if sides else None
    if len(activation.shape) > 4:
        return _middle(context, activation, axes)
    value = context.canonical(activation)
    height, width = context.shapes[value][2:]
    return value, (height, 1) if 2 in sides else (1, width)


def _combined(
    context: Context, value: str, window: tuple[int, int] | None, over_channels: bool, reduction: Reduction
) -> str:
    """Emits the reduction over the map, then over channels."""
    if window is not None:
        value = _over_map(context, value, window, reduction)
    if over_channels and context.shapes[value][1] > 1:
        value = context.emit(ReduceChannels(reduction), [value], role="" if window is None else "channels")
    return value


def _middle(context: Context, activation: Activation, axes: set[int]) -> tuple[str, tuple[int, int]]:
    """Neighbouring axes, of many, as rows of a map: those before them are its channels, those behind its columns."""
    shape = activation.shape
    first, last = min(axes), max(axes)
    if len(axes) <= last - first or first < 2:
        raise UnsupportedNodeError(
            f"it reduces axes {sorted(axes)} of {shape}; channels, all behind them or neighbours there can be"
        )
    rows = math.prod(shape[first : last + 1])
    size = (shape[0], math.prod(shape[1:first]), rows, math.prod(shape[last + 1 :]))
    return context.reshaped(activation, size), (rows, 1)


def _over_map(context: Context, value: str, window: tuple[int, int], reduction: Reduction) -> str:
    """Emits the reduction of windows of whole rows, whole columns or both."""
    match reduction:
        case Reduction.MEAN:
            return context.emit(_pool(context, value, window, GlobalAveragePool(), AveragePool(window)), [value])
        case Reduction.MAXIMUM:
            return context.emit(_pool(context, value, window, GlobalMaxPool(), MaxPool(window)), [value])
        case Reduction.SUM:
            mean = _over_map(context, value, window, Reduction.MEAN)
            return scaled(context, mean, math.prod(window), "sum")
        case Reduction.MINIMUM:
            negative = scaled(context, value, -1.0, "negative")
            return scaled(context, _over_map(context, negative, window, Reduction.MAXIMUM), -1.0, "minimum")
        case _:
            raise InvalidNodeError(f"{reduction} is no reduction over the map")


def _pool(context: Context, value: str, window: tuple[int, int], whole: Operator, part: Operator) -> Operator:
    return whole if context.shapes[value][2:] == window else part


def scaled(context: Context, value: str, factor: float, role: str) -> str:
    """Emits the product with a number."""
    scale = np.full(context.shapes[value][1], factor, np.float32)
    return context.emit(Affine(), [value], [("scale", scale), ("shift", np.zeros_like(scale))], role)


def _squares(context: Context, value: str) -> str:
    return context.emit(Mul(), [value, value], role="squares")


def _magnitudes(context: Context, value: str) -> str:
    return context.emit(Abs(), [value], role="magnitudes")


def _root(context: Context, value: str) -> str:
    return context.emit(Sqrt(), [value], role="root")


def _logarithm(context: Context, value: str) -> str:
    return context.emit(Log(), [value], role="logarithm")


KINDS = {
    "ReduceMean": _Kind(Reduction.MEAN),
    "ReduceSum": _Kind(Reduction.SUM),
    "ReduceMax": _Kind(Reduction.MAXIMUM),
    "ReduceMin": _Kind(Reduction.MINIMUM),
    "ReduceSumSquare": _Kind(Reduction.SUM, before=_squares, channels=Reduction.SUM_OF_SQUARES),
    "ReduceL1": _Kind(Reduction.SUM, before=_magnitudes, channels=Reduction.L1),
    "ReduceL2": _Kind(Reduction.SUM, before=_squares, after=_root, channels=Reduction.L2),
    "ReduceLogSum": _Kind(Reduction.SUM, after=_logarithm),
}

CONVERTERS = {name: _converter(name, kind) for name, kind in KINDS.items()} | {"ReduceLogSumExp": log_sum_exp}
