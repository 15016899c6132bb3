"""Resize and its forerunner Upsample."""

import math

import numpy as np

from dlfusion.frontend.attributes import from_front, integers, numbers, require, text
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError, four_axes
from dlfusion.frontend.model import Node
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode, Rounding


def resize(node: Node, context: Context) -> Activation:
    """Resize of the map, nearest or linear."""
    if context.opset < 11:
        return _first_version(node, context, _floats(context, node, 1))
    for name, allowed in (("antialias", 0), ("keep_aspect_ratio_policy", "stretch")):
        require(node, name, allowed)
    activation = context.activation(node)
    scales, sizes = _targets(node, context, len(activation.shape))
    if sizes is None:
        sizes = _scaled(activation.shape, scales or ())
    mode = _mode(node)
    name = text(node, "coordinate_transformation_mode", "half_pixel")
    exact = scales is None or all(
        size * scale == target for size, scale, target in zip(activation.shape, scales, sizes, strict=True)
    )
    if name == "half_pixel_symmetric" and exact:
        # Its correction is for output sizes that were rounded.
        name = "half_pixel"
    if name not in set(Coordinates):
        raise UnsupportedNodeError(f"coordinate_transformation_mode is {name}; {', '.join(Coordinates)} are supported")
    rounding = Rounding(text(node, "nearest_mode", "round_prefer_floor"))
    return _emit(context, activation, sizes, scales, mode, Coordinates(name), rounding)


def upsample(node: Node, context: Context) -> Activation:
    """Upsample; the scales are an attribute in opset 7 and an input since."""
    if context.opset < 9:
        scales = numbers(node, "scales")
        if scales is None:
            raise InvalidNodeError("the attribute scales is missing")
        return _first_version(node, context, scales)
    return _first_version(node, context, _floats(context, node, 1))


def _first_version(node: Node, context: Context, scales: tuple[float, ...] | None) -> Activation:
    """Upsample and Resize of opset 10, which do not state coordinates: as ONNX Runtime reads them.

    Nearest takes the position rounded down when enlarging, and rounded up when shrinking.
    """
    activation = context.activation(node)
    if scales is None:
        raise InvalidNodeError("the scales are missing")
    sizes = _scaled(activation.shape, scales)
    shrinks, enlarges = any(scale < 1 for scale in scales), any(scale > 1 for scale in scales)
    mode = _mode(node)
    if shrinks and enlarges and mode is ResizeMode.NEAREST:
        raise UnsupportedNodeError(f"it shrinks and enlarges at once (scales {list(scales)})")
    rounding = Rounding.CEIL if shrinks else Rounding.FLOOR
    return _emit(context, activation, sizes, scales, mode, Coordinates.ASYMMETRIC, rounding)


def _emit(
    context: Context,
    activation: Activation,
    sizes: tuple[int, ...],
    scales: tuple[float, ...] | None,
    mode: ResizeMode,
    coordinates: Coordinates,
    rounding: Rounding,
) -> Activation:
    if sizes[:2] != activation.shape[:2] or len(sizes) not in (3, 4):
        raise UnsupportedNodeError(f"it resizes {activation.shape} to {sizes}; only maps can be resized")
    factors = None
    if scales is not None:
        factors = (scales[2], scales[3] if len(scales) == 4 else 1.0)
    height, width = four_axes(sizes)[2:]
    operator = Resize(height, width, mode, coordinates, rounding, factors)
    return Activation(context.emit(operator, [context.canonical(activation)]), sizes)


def _mode(node: Node) -> ResizeMode:
    name = text(node, "mode", "nearest")
    if name == "bilinear":
        name = "linear"
    if name not in set(ResizeMode):
        raise UnsupportedNodeError(f"mode is {name}; {' and '.join(ResizeMode)} are supported")
    return ResizeMode(name)


def _targets(node: Node, context: Context, rank: int) -> tuple[tuple[float, ...] | None, tuple[int, ...] | None]:
    """Scales and sizes for all axes, of which one is None."""
    shape = context.activation(node).shape
    scales, array = _floats(context, node, 2), context.optional(node, 3)
    sizes = None if array is None or array.size == 0 else tuple(int(size) for size in array.reshape(-1))
    axes = integers(node, "axes")
    chosen = range(rank) if axes is None else [from_front(axis, rank) for axis in axes]
    given = scales if sizes is None else sizes
    if given is None or len(given) != len(chosen):
        raise InvalidNodeError(f"scales {scales} or sizes {sizes} must have one number for each of {len(chosen)} axes")
    if sizes is not None:
        wanted = dict(zip(chosen, sizes, strict=True))
        return None, tuple(wanted.get(axis, size) for axis, size in enumerate(shape))
    factors = dict(zip(chosen, scales or (), strict=True))
    return tuple(factors.get(axis, 1.0) for axis in range(rank)), None


def _scaled(shape: tuple[int, ...], scales: tuple[float, ...]) -> tuple[int, ...]:
    """The sizes that scales give: rounded down."""
    if len(shape) != len(scales):
        raise InvalidNodeError(f"scales {scales} do not fit an input of shape {shape}")
    return tuple(math.floor(size * scale) for size, scale in zip(shape, scales, strict=True))


def _floats(context: Context, node: Node, index: int) -> tuple[float, ...] | None:
    array = context.optional(node, index)
    return None if array is None or array.size == 0 else tuple(float(x) for x in array.astype(np.float32).reshape(-1))


CONVERTERS = {"Resize": resize, "Upsample": upsample}
