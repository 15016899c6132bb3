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


class Coordinates(StrEnum):
    """How an output index becomes a position in the input; the names and formulas of ONNX's Resize."""

    HALF_PIXEL = "half_pixel"
    PYTORCH_HALF_PIXEL = "pytorch_half_pixel"
    ALIGN_CORNERS = "align_corners"
    ASYMMETRIC = "asymmetric"


class Rounding(StrEnum):
    """How a position becomes an index in mode nearest; ONNX's `nearest_mode`."""

    PREFER_FLOOR = "round_prefer_floor"
    PREFER_CEIL = "round_prefer_ceil"
    FLOOR = "floor"
    CEIL = "ceil"


@dataclass(frozen=True, slots=True)
class Taps:
    """The two inputs of each output index along one axis: (1 - weight) * input[lower] + weight * input[upper].

    Where the weight is zero, as everywhere in mode nearest, `upper` equals `lower`.
    """

    lower: tuple[int, ...]
    upper: tuple[int, ...]
    weight: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Resize(Operator):
    """The map interpolated to `height` x `width`.

    `scales` are output size over input size, for height and width, where the model states them: they need not be the
    quotient of the sizes, since the output size is rounded down. None means the quotient.
    """

    height: int
    width: int
    mode: ResizeMode = ResizeMode.NEAREST
    coordinates: Coordinates = Coordinates.HALF_PIXEL
    rounding: Rounding = Rounding.PREFER_FLOOR
    scales: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"Resize needs an output of at least 1 x 1, but it is {self.height} x {self.width}")
        if self.scales is not None and min(self.scales) <= 0:
            raise ValueError(f"Resize needs scales above 0, but they are {self.scales}")

    def output_shape(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> Shape:
        """N x C x height x width."""
        require_operands("Resize", inputs, parameters, (1, 0))
        return (*inputs[0][:2], self.height, self.width)

    def operations(self, inputs: Sequence[Shape], parameters: Sequence[tuple[int, ...]]) -> int:
        """None in mode nearest; in mode linear four multiply-accumulates per output element."""
        if self.mode is ResizeMode.NEAREST:
            return 0
        return 8 * math.prod(self.output_shape(inputs, parameters))

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
        rows, columns = self.row_taps(source.shape[2]), self.column_taps(source.shape[3])
        above, below = source[:, :, list(rows.lower)], source[:, :, list(rows.upper)]
        tall = _blend(above, below, np.array(rows.weight, np.float32)[:, None])
        left, right = tall[:, :, :, list(columns.lower)], tall[:, :, :, list(columns.upper)]
        return _blend(left, right, np.array(columns.weight, np.float32))

    @property
    def label(self) -> str:
        """Such as `Resize 64x64 nearest`."""
        return f"Resize {self.height}x{self.width} {self.mode}"


def _blend(lower: NDArray[np.float32], upper: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    blend: NDArray[np.float32] = lower * (np.float32(1) - weight) + upper * weight
    return blend


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
        return Taps(tuple(nearest), tuple(nearest), (0.0,) * len(nearest))
    inside = np.clip(positions, np.float32(0), np.float32(size - 1))
    lower = inside.astype(int)
    weight = inside - lower.astype(np.float32)
    upper = np.where(weight > 0, lower + 1, lower)
    return Taps(tuple(lower.tolist()), tuple(upper.tolist()), tuple(weight.tolist()))


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
