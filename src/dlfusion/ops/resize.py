"""Resizing of the map by interpolation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.checks import require_operands
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.spatial import Pair
from dlfusion.ops.window import Window


class ResizeMode(StrEnum):
    """How an output is computed from the inputs around its position."""

    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"


class Coordinates(StrEnum):
    """How an output index becomes a position in the input; the names and formulas of ONNX's Resize."""

    HALF_PIXEL = "half_pixel"
    HALF_PIXEL_SYMMETRIC = "half_pixel_symmetric"
    PYTORCH_HALF_PIXEL = "pytorch_half_pixel"
    ALIGN_CORNERS = "align_corners"
    ASYMMETRIC = "asymmetric"
    CROP = "tf_crop_and_resize"


class Rounding(StrEnum):
    """How a position becomes an index in mode nearest; ONNX's `nearest_mode`."""

    PREFER_FLOOR = "round_prefer_floor"
    PREFER_CEIL = "round_prefer_ceil"
    FLOOR = "floor"
    CEIL = "ceil"


@dataclass(frozen=True, slots=True)
class Taps:
    """What makes each output index along one axis: neighbouring inputs, from `lower` on, times their `weights`.

    Mode nearest has one input with weight 1, linear two or, where the second would weigh nothing, one.
    """

    lower: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def upper(self) -> tuple[int, ...]:
        """The last input of each output index."""
        return tuple(lower + len(weights) - 1 for lower, weights in zip(self.lower, self.weights, strict=True))

    @property
    def most(self) -> int:
        """The most inputs of any output index."""
        return max(map(len, self.weights))


MOST_PLACES = 1 << 22
"""Rows or columns of an output: each has taps of its own, which are computed when a model is compiled."""

Region = tuple[tuple[float, float], tuple[float, float]]
"""From where to where, for height and width, as fractions of the map."""

WHOLE: Region = ((0.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Resize(Operator):
    """The map interpolated to `height` x `width`.

    `scales` are output size over input size, for height and width, where the model states them: they need not be the
    quotient of the sizes, since the output size is rounded down. None means the quotient. `region` is what the output
    shows in coordinates `tf_crop_and_resize`; outside the map that is its edge.

    Cubic interpolation has `cubic_coefficient` as its slope at the neighbours. Inputs outside the map are those at its
    edge, or do not count if `excludes_outside`. With `antialias`, shrinking stretches the interpolation over as many
    inputs as an output stands for.
    """

    height: int
    width: int
    mode: ResizeMode = ResizeMode.NEAREST
    coordinates: Coordinates = Coordinates.HALF_PIXEL
    rounding: Rounding = Rounding.PREFER_FLOOR
    scales: tuple[float, float] | None = None
    cubic_coefficient: float = -0.75
    excludes_outside: bool = False
    antialias: bool = False
    region: Region = WHOLE

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"Resize needs an output of at least 1 x 1, but it is {self.height} x {self.width}")
        if max(self.height, self.width) > MOST_PLACES:
            raise ValueError(
                f"Resize makes at most {MOST_PLACES} rows and columns, but they are {self.height} x {self.width}"
            )
        if self.scales is not None and min(self.scales) <= 0:
            raise ValueError(f"Resize needs scales above 0, but they are {self.scales}")
        if not all(-math.inf < start <= end < math.inf for start, end in self.region):
            raise ValueError(f"Resize needs a finite region that is not turned round, but it is {self.region}")

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x height x width."""
        require_operands("Resize", inputs, parameters, (1, 0))
        return (*inputs[0][:2], self.height, self.width)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None in mode nearest; else a multiply-accumulate for each input of an output, four or more of them."""
        if self.mode is ResizeMode.NEAREST:
            return 0
        taps = 4
        if not self.is_linear:
            taps = self.row_taps(inputs[0][2]).most * self.column_taps(inputs[0][3]).most
        return 2 * taps * math.prod(self.output_shape(inputs, parameters))

    @property
    def is_linear(self) -> bool:
        """Whether no output has more than two inputs along an axis."""
        return self.mode is ResizeMode.LINEAR and not self.antialias

    def inside(self, axis: int, size: int) -> range:
        """The output rows (axis 0) or columns (axis 1) whose position lies within the input's `size` of them."""
        positions = _positions(self, axis, size)
        found = np.flatnonzero((positions >= 0) & (positions <= size - 1))
        return range(found[0], found[-1] + 1) if found.size else range(0)

    def row_taps(self, input_height: int) -> Taps:
        """Which input rows make each output row."""
        return _taps(self, 0, input_height)

    def column_taps(self, input_width: int) -> Taps:
        """Which input columns make each output column."""
        return _taps(self, 1, input_width)

    def row_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """A straight line below the lower taps and one above the upper ones, so it contains all that is read."""
        return (_window(self, 0, inputs[0][2]),)

    def column_windows(self, inputs: Sequence[Shape]) -> tuple[Window, ...]:
        """The same along the width."""
        return (_window(self, 1, inputs[0][3]),)

    def reference(
        self, inputs: Sequence[NDArray[np.float32]], parameters: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Rows first, then columns."""
        source = inputs[0]
        tall = _weighted(source, self.row_taps(source.shape[2]), 2)
        return _weighted(tall, self.column_taps(source.shape[3]), 3)

    @property
    def label(self) -> str:
        """Such as `Resize 64x64 nearest`."""
        return f"Resize {self.height}x{self.width} {self.mode}{' antialias' if self.antialias else ''}"


def _weighted(source: NDArray[np.float32], taps: Taps, axis: int) -> NDArray[np.float32]:
    """The sum of each output's inputs along one axis; an output with fewer than others takes its last one at 0."""
    lower, upper = np.array(taps.lower), np.array(taps.upper)
    shape = [1, 1, 1, 1]
    shape[axis] = len(lower)
    total = np.zeros((), np.float32)
    for tap in range(taps.most):
        weights = [float(of_output[tap]) if tap < len(of_output) else 0.0 for of_output in taps.weights]
        inputs = source.take(np.minimum(lower + tap, upper), axis=axis)
        total = total + inputs * np.array(weights, np.float32).reshape(shape)
    return total


def _positions(operator: Resize, axis: int, size: int) -> NDArray[np.float32]:
    """The position in the input of every output index, in float32 as ONNX Runtime computes it."""
    output: Pair = (operator.height, operator.width)
    count = output[axis]
    index = np.arange(count, dtype=np.float32)
    scale = np.float32(operator.scales[axis] if operator.scales else count / size)
    half = np.float32(0.5)
    if count == 1 and operator.coordinates in (Coordinates.PYTORCH_HALF_PIXEL, Coordinates.ALIGN_CORNERS):
        return np.zeros(1, np.float32)
    match operator.coordinates:
        case Coordinates.HALF_PIXEL | Coordinates.PYTORCH_HALF_PIXEL:
            positions = (index + half) / scale - half
        case Coordinates.HALF_PIXEL_SYMMETRIC:
            center = np.float32(size) / np.float32(2)
            adjustment = np.float32(count) / (scale * np.float32(size))
            positions = center * (np.float32(1) - adjustment) + (index + half) / scale - half
        case Coordinates.CROP:
            start, end = (np.float32(limit) for limit in operator.region[axis])
            last = np.float32(size - 1)
            if count == 1:
                positions = np.array([half * (start + end) * last])
            else:
                positions = start * last + index * (end - start) * last / np.float32(count - 1)
        case Coordinates.ALIGN_CORNERS:
            positions = index * np.float32(size - 1) / np.float32(count - 1)
        case Coordinates.ASYMMETRIC:
            positions = index / scale
    return positions.astype(np.float32)


def _nearest(positions: NDArray[np.float32], rounding: Rounding) -> NDArray[np.float64]:
    exact = positions.astype(np.float64)
    match rounding:
        case Rounding.PREFER_FLOOR:
            return np.ceil(exact - 0.5)
        case Rounding.PREFER_CEIL:
            return np.floor(exact + 0.5)
        case Rounding.FLOOR:
            return np.floor(exact)
        case Rounding.CEIL:
            return np.ceil(exact)


@cache
def _taps(operator: Resize, axis: int, size: int) -> Taps:
    positions = _positions(operator, axis, size)
    if operator.mode is ResizeMode.NEAREST:
        nearest = np.clip(_nearest(positions, operator.rounding), 0, size - 1).astype(int).tolist()
        return Taps(tuple(nearest), ((1.0,),) * len(nearest))
    stretch = 1.0
    if operator.antialias:
        count = (operator.height, operator.width)[axis]
        stretch = max(1.0, 1 / operator.scales[axis] if operator.scales else size / count)
    found = [_interpolated(operator, float(position), stretch, size) for position in positions]
    return Taps(tuple(lower for lower, _ in found), tuple(weights for _, weights in found))


def _interpolated(operator: Resize, position: float, stretch: float, size: int) -> tuple[int, tuple[float, ...]]:
    """The first input of an output at `position`, and the weights of all its inputs; their sum is 1."""
    reach = stretch * (1 if operator.mode is ResizeMode.LINEAR else 2)
    weights: dict[int, float] = {}
    for index in range(math.floor(position - reach + 1), math.floor(position + reach + 1)):
        inside = min(max(index, 0), size - 1)
        if index == inside or not operator.excludes_outside:
            weights[inside] = weights.get(inside, 0.0) + _weight(operator, (index - position) / stretch)
    used = [index for index, weight in weights.items() if weight != 0]
    total = sum(weights.values())
    lower, upper = min(used), max(used)
    return lower, tuple(float(np.float32(weights[index] / total)) for index in range(lower, upper + 1))


def _weight(operator: Resize, distance: float) -> float:
    """How much an input counts at a distance from the position: a triangle, or Keys' cubic convolution."""
    x = abs(distance)
    if operator.mode is ResizeMode.LINEAR:
        return max(0.0, 1 - x)
    a = operator.cubic_coefficient
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else 0.0


@cache
def _window(operator: Resize, axis: int, size: int) -> Window:
    """The tightest window with the slope of the coordinate formula that contains every tap.

    floor((row * multiplier + offset) / divisor) is at most `lower` if row * multiplier + offset is less than
    (lower + 1) * divisor, and at least `upper` if it is at least upper * divisor; the offsets are the extremes over
    all rows.
    """
    count = (operator.height, operator.width)[axis]
    if operator.coordinates is Coordinates.ALIGN_CORNERS:
        slope = Fraction(size - 1, max(1, count - 1))
    elif operator.coordinates is Coordinates.CROP:
        start, end = operator.region[axis]
        slope = Fraction((end - start) * (size - 1) / max(1, count - 1)).limit_denominator(4096)
    elif operator.scales:
        slope = Fraction(1 / operator.scales[axis]).limit_denominator(4096)
    else:
        slope = Fraction(size, count)
    # Positions may lie half a step of the slope off: doubling lets the offsets express that.
    multiplier, divisor = 2 * slope.numerator, 2 * slope.denominator
    table = _taps(operator, axis, size)
    first = min((lower + 1) * divisor - 1 - row * multiplier for row, lower in enumerate(table.lower))
    last = max(upper * divisor - row * multiplier for row, upper in enumerate(table.upper))
    return Window(multiplier, first, last, divisor)
