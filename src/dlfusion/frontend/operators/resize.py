"""Resize and its forerunner Upsample."""

import math
from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.attributes import from_front, integer, integers, number, numbers, text
from dlfusion.frontend.context import Activation, Context, InvalidNodeError, UnsupportedNodeError, map_axes
from dlfusion.frontend.model import Node
from dlfusion.ops.pad import Pad
from dlfusion.ops.resize import WHOLE, Coordinates, Region, Resize, ResizeMode, Rounding


def resize(node: Node, context: Context) -> Activation:
    """Resize of the map, nearest, linear or cubic; tf_crop_and_resize must show some of it, and not turned round."""
    if context.opset < 11:
        return _first_version(node, context, context.floats(node, 1))
    activation = context.seen(node)
    scales, sizes = _targets(node, context, activation.shape)
    shape = sizes
    name = text(node, "coordinate_transformation_mode", "half_pixel")
    is_last = name != Coordinates.CROP and _leaves_last(activation, sizes)
    if is_last:
        activation = context.last(activation).channels_first
        sizes = (sizes[0], sizes[-1], *sizes[1:-1])
        scales = None if scales is None else (scales[0], scales[-1], *scales[1:-1])
    else:
        activation = context.plain(activation)
    _require_map(activation, sizes)
    if name == "tf_half_pixel_for_nn":
        raise UnsupportedNodeError(f"coordinate_transformation_mode is {name}, which was dropped in opset 13")
    mode, antialias = _mode(node), bool(integer(node, "antialias", 0))
    if mode is ResizeMode.NEAREST and antialias:
        raise InvalidNodeError("antialias is 1, but mode is nearest")
    # Of two inputs, one of them outside the map, linear interpolation takes the one at the edge in any case.
    reaches_far = mode is ResizeMode.CUBIC or antialias
    height, width = map_axes(sizes)[2:]
    operator = Resize(
        height,
        width,
        mode,
        Coordinates(name),
        Rounding(text(node, "nearest_mode", "round_prefer_floor")),
        _map_factors(scales),
        number(node, "cubic_coeff_a", -0.75),
        reaches_far and bool(integer(node, "exclude_outside", 0)),
        antialias,
        _region(node, context, len(sizes)) if name == Coordinates.CROP else WHOLE,
    )
    resized = _emit(context, activation, sizes, operator)
    if is_last:
        return Activation(resized.value, shape, channels_last=True)
    fill = number(node, "extrapolation_value", 0.0)
    return _filled_outside(context, resized, operator, map_axes(activation.shape)[2:], fill)


def _leaves_last(activation: Activation, sizes: tuple[int, ...]) -> bool:
    """True if the axes between the batch and the last one are resized, and so are the map of channels that are last."""
    shape = activation.shape
    if len(shape) not in (3, 4) or (sizes[0], sizes[-1]) != (shape[0], shape[-1]):
        return False
    return activation.channels_last or sizes[1] != shape[1]


def upsample(node: Node, context: Context) -> Activation:
    """Upsample; the scales are an attribute in opset 7 and an input since."""
    if context.opset < 9:
        scales = numbers(node, "scales")
        if scales is None:
            raise InvalidNodeError("the attribute scales is missing")
        return _first_version(node, context, scales)
    return _first_version(node, context, context.floats(node, 1))


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
    _require_map(activation, sizes)
    rounding = Rounding.CEIL if shrinks else Rounding.FLOOR
    height, width = map_axes(sizes)[2:]
    operator = Resize(height, width, mode, Coordinates.ASYMMETRIC, rounding, _map_factors(scales))
    return _emit(context, activation, sizes, operator)


def _require_map(activation: Activation, sizes: tuple[int, ...]) -> None:
    if sizes[:2] != activation.shape[:2] or len(sizes) not in (3, 4):
        raise UnsupportedNodeError(f"it resizes {activation.shape} to {sizes}; only maps can be resized")


def _emit(context: Context, activation: Activation, sizes: tuple[int, ...], operator: Resize) -> Activation:
    return Activation(context.emit(operator, [context.map_of(activation)]), sizes)


def _filled_outside(
    context: Context, resized: Activation, operator: Resize, size: Sequence[int], fill: float
) -> Activation:
    """The activation with a number at all places whose positions lie outside the map of this size."""
    if operator.coordinates is not Coordinates.CROP:
        return resized
    rows, columns = (operator.inside(axis, own) for axis, own in enumerate(size))
    if not rows or not columns:
        raise UnsupportedNodeError(f"its region {operator.region} shows nothing of the map of {tuple(size)}")
    top, left, bottom, right = rows.start, columns.start, operator.height - rows.stop, operator.width - columns.stop
    if not any((top, left, bottom, right)):
        return resized
    inside = context.emit(Pad(-top, -left, -bottom, -right), [resized.value], role="inside")
    filled = context.emit(Pad(top, left, bottom, right, fill), [inside], role="filled")
    return Activation(filled, resized.shape)


def _map_factors(scales: tuple[float, ...] | None) -> tuple[float, float] | None:
    """Those of height and width."""
    if scales is None:
        return None
    return (1.0, scales[2]) if len(scales) == 3 else (scales[2], scales[3])


def _mode(node: Node) -> ResizeMode:
    name = text(node, "mode", "nearest")
    if name in ("bilinear", "bicubic"):
        name = name[2:]
    if name not in set(ResizeMode):
        raise UnsupportedNodeError(f"mode is {name}; {' and '.join(ResizeMode)} are supported")
    return ResizeMode(name)


def _targets(node: Node, context: Context, shape: tuple[int, ...]) -> tuple[tuple[float, ...] | None, tuple[int, ...]]:
    """Scales, which are None where only sizes are given, and sizes, for all axes."""
    rank = len(shape)
    chosen = _axes(node, rank)
    # Exporters also leave one out by an empty array.
    scales, sizes = context.floats(node, 2) or None, context.integers(node, 3) or None
    given = scales if sizes is None else sizes
    if given is None or len(given) != len(chosen):
        raise InvalidNodeError(f"scales {scales} or sizes {sizes} must have one number for each of {len(chosen)} axes")
    if sizes is None:
        factors = dict(zip(chosen, scales or (), strict=True))
        scales = tuple(factors.get(axis, 1.0) for axis in range(rank))
        return scales, _scaled(shape, scales)
    wanted = dict(zip(chosen, sizes, strict=True))
    policy = text(node, "keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return None, tuple(wanted.get(axis, size) for axis, size in enumerate(shape))
    # One scale for all axes, the smallest or the largest of those that the sizes ask for.
    choose = {"not_larger": min, "not_smaller": max}.get(policy)
    if choose is None:
        raise InvalidNodeError(f"keep_aspect_ratio_policy is {policy}")
    scale = choose(size / shape[axis] for axis, size in wanted.items())
    kept = tuple(math.floor(size * scale + 0.5) if axis in wanted else size for axis, size in enumerate(shape))
    return tuple(scale if axis in wanted else 1.0 for axis in range(rank)), kept


def _axes(node: Node, rank: int) -> list[int]:
    axes = integers(node, "axes")
    return list(range(rank)) if axes is None else [from_front(axis, rank) for axis in axes]


def _region(node: Node, context: Context, rank: int) -> Region:
    """What tf_crop_and_resize shows of height and width: all beginnings, then all ends."""
    chosen = _axes(node, rank)
    limits = context.floats(node, 1)
    if limits is None or len(limits) != 2 * len(chosen):
        raise InvalidNodeError(f"roi {limits} must have two numbers for each of {len(chosen)} axes")
    found = {axis: (limits[place], limits[place + len(chosen)]) for place, axis in enumerate(chosen)}
    if not all(-math.inf < start <= end < math.inf for start, end in found.values()):
        raise UnsupportedNodeError(f"its region {list(limits)} is turned round; every start must be below its end")
    if any(found.get(axis, (0, 1)) != (0, 1) for axis in (0, 1)):
        raise UnsupportedNodeError(f"its region {list(limits)} is a part of the batch or of the channels")
    whole = (0.0, 1.0)
    return (whole, found.get(2, whole)) if rank == 3 else (found.get(2, whole), found.get(3, whole))


def _scaled(shape: tuple[int, ...], scales: tuple[float, ...]) -> tuple[int, ...]:
    """The sizes that scales give: the product in float32, as ONNX computes it, rounded down."""
    if len(shape) != len(scales):
        raise InvalidNodeError(f"scales {scales} do not fit an input of shape {shape}")
    return tuple(int(np.float32(size) * np.float32(scale)) for size, scale in zip(shape, scales, strict=True))


CONVERTERS = {"Resize": resize, "Upsample": upsample}
