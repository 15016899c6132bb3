"""NumPy's broadcasting rules, as far as operators of the graph can express them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlfusion.frontend.context import Activation, Axes, Context, InvalidNodeError, UnsupportedNodeError, four_axes
from dlfusion.graph.graph import Array
from dlfusion.ops.operator import Shape
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode, Rounding


def per_channel(array: Array, channels: int) -> Array:
    """One number for each channel, of as many or of one."""
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (channels,)))


@dataclass(frozen=True, slots=True)
class Operands:
    """Two values, of which the first has the shape that they broadcast to; `swapped` if it is the second operand."""

    values: tuple[str, str]
    swapped: bool
    shape: tuple[int, ...]


def pair(context: Context, first: Activation, second: Activation) -> Operands:
    """Two activations as operators of the graph take them.

    Raises:
        UnsupportedNodeError: the batch or, in both of them, the channels would have to be repeated.
        InvalidNodeError: the shapes do not broadcast.
    """
    shape = _joint(first.shape, second.shape)
    if first.shape == second.shape and context.shapes[first.value] == context.shapes[second.value]:
        return Operands((first.value, second.value), swapped=False, shape=shape)
    axes = context.common_axes((first, second))
    full = axes(shape)
    sizes = [_sizes(activation, shape, axes) for activation in (first, second)]
    values = [context.reshaped(activation, size) for activation, size in zip((first, second), sizes, strict=True)]
    if full not in sizes:
        index = int(sizes[0][:2] != full[:2])
        values[index] = _repeated(context, values[index], sizes[index], shape, axes)
        sizes[index] = full
    large = sizes.index(full)
    if sizes[1 - large][0] != sizes[large][0]:
        raise UnsupportedNodeError(f"its inputs are {first.shape} and {second.shape}; a batch of 1 cannot be repeated")
    return Operands((values[large], values[1 - large]), large == 1, shape)


@dataclass(frozen=True, slots=True)
class Constant:
    """A value and the constant that broadcasts to it: C x H x W, each of them 1 where the constant does not vary."""

    value: str
    array: Array
    shape: tuple[int, ...]

    @property
    def is_per_channel(self) -> bool:
        """Whether it has one number, or one for each channel."""
        return self.array.shape[1:] == (1, 1)


def with_constant(context: Context, activation: Activation, constant: Array) -> Constant:
    """An activation and a constant as operators of the graph take them.

    Raises:
        UnsupportedNodeError: the constant varies along the batch, or has more channels than the activation.
        InvalidNodeError: the shapes do not broadcast.
    """
    shape = _joint(activation.shape, constant.shape)
    if constant.size == 1:
        return Constant(activation.value, constant.reshape(1, 1, 1), shape)
    axes = context.common_axes((activation,)) if len(shape) == 3 else four_axes
    size = _sizes(activation, shape, axes)
    value = context.reshaped(activation, size)
    if size != axes(shape):
        value = _repeated(context, value, size, shape, axes)
    aligned = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    if len(shape) > 4:
        aligned = np.broadcast_to(aligned, (*aligned.shape[:3], *shape[3:]))
    array = aligned.reshape(axes(aligned.shape))
    for axis in range(4):
        first = array.take([0], axis)
        if np.array_equal(np.broadcast_to(first, array.shape), array):
            array = first
    if array.shape[0] > 1:
        raise UnsupportedNodeError(f"its constant of shape {constant.shape} varies along axis 0 of {shape}, the batch")
    return Constant(value, np.ascontiguousarray(array[0]), shape)


def _joint(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(tuple(first), tuple(second))
    except ValueError:
        raise InvalidNodeError(f"shapes {tuple(first)} and {tuple(second)} do not broadcast") from None


def _sizes(activation: Activation, shape: tuple[int, ...], axes: Axes) -> Shape:
    """The activation's four axes beside those of `shape`, which it broadcasts to."""
    aligned = (1,) * (len(shape) - len(activation.shape)) + activation.shape
    if len(shape) > 4 and any(size != 1 for size in aligned[3:]) and aligned[3:] != shape[3:]:
        raise UnsupportedNodeError(f"an input of shape {activation.shape} is repeated along some of the last axes only")
    return axes(aligned)


def _repeated(context: Context, value: str, size: Shape, shape: tuple[int, ...], axes: Axes) -> str:
    """The value with its only row, its only column or both repeated to `shape`."""
    batch, channels, height, width = axes(shape)
    if size[:2] != (batch, channels):
        raise UnsupportedNodeError(f"its inputs broadcast to {shape}, but none has all {batch} x {channels} channels")
    operator = Resize(height, width, ResizeMode.NEAREST, Coordinates.ASYMMETRIC, Rounding.FLOOR)
    return context.emit(operator, [value], role="repeated")
