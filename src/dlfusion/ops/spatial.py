"""Sizes, padding and taps of operators that slide a kernel over the map: what convolutions and pools share."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dlfusion.ops.operator import Shape

Pair = tuple[int, int]
"""A value for the height and one for the width."""

Padding = tuple[int, int, int, int]
"""Rows or columns added at the top, left, bottom and right."""


def require_positive(name: str, values: Pair) -> None:
    """Reject an attribute below one.

    Raises:
        ValueError: one of `values` is less than 1.
    """
    if min(values) < 1:
        raise ValueError(f"{name} must be at least 1, but is {values[0]} x {values[1]}")


def require_padding(pads: Padding) -> None:
    """Reject padding below zero.

    Raises:
        ValueError: one of `pads` is negative.
    """
    if min(pads) < 0:
        raise ValueError(f"padding must not be negative, but is top, left, bottom, right = {pads}")


def extent(kernel: int, dilation: int) -> int:
    """How many positions a dilated kernel spans along one axis."""
    return (kernel - 1) * dilation + 1


def sliding_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """The output size along one axis: how many windows lie fully inside the padded input.

    Raises:
        ValueError: not even one window fits.
    """
    padded = size + before + after
    span = extent(kernel, dilation)
    if padded < span:
        raise ValueError(
            f"a kernel that spans {span} (size {kernel}, dilation {dilation}) does not fit into {padded} "
            f"(size {size}, padding {before} and {after})"
        )
    return (padded - span) // stride + 1


def sliding_shape(height: int, width: int, kernel: Pair, strides: Pair, dilations: Pair, pads: Padding) -> Pair:
    """Output height and width of a sliding kernel; see `sliding_size`."""
    top, left, bottom, right = pads
    return (
        sliding_size(height, kernel[0], strides[0], dilations[0], top, bottom),
        sliding_size(width, kernel[1], strides[1], dilations[1], left, right),
    )


def ceil_mode_excess(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """How far past the declared padding the last window reaches in ONNX's ceil mode, along one axis.

    Adding the result to `after` makes `sliding_size` give the ceil-mode size. Ceil mode rounds the number of windows
    up, except that a window which would start in the padding after the input is dropped (ONNX, MaxPool).
    """
    span = extent(kernel, dilation)
    windows = -((size + before + after - span) // -stride) + 1
    if (windows - 1) * stride >= size + before:
        windows -= 1
    return max(0, (windows - 1) * stride + span - (size + before + after))


def padded(array: NDArray[np.float32], pads: Padding, value: float) -> NDArray[np.float32]:
    """The N x C x H x W array with `pads` rows and columns of `value` around each map."""
    top, left, bottom, right = pads
    return np.pad(array, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def taps(
    array: NDArray[np.float32], kernel: Pair, strides: Pair, dilations: Pair, output: Shape
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """For each kernel position (row, column), a view of the padded array: the element it meets for every output."""
    for row in range(kernel[0]):
        top = row * dilations[0]
        rows = slice(top, top + (output[2] - 1) * strides[0] + 1, strides[0])
        for column in range(kernel[1]):
            left = column * dilations[1]
            columns = slice(left, left + (output[3] - 1) * strides[1] + 1, strides[1])
            yield row, column, array[:, :, rows, columns]


def kernel_label(name: str, kernel: Pair, strides: Pair, dilations: Pair) -> str:
    """Name, kernel and, where they are not 1, stride and dilation: `Conv 3x3 s2 d2`."""
    words = [name, f"{kernel[0]}x{kernel[1]}"]
    for letter, values in (("s", strides), ("d", dilations)):
        if values[0] != values[1]:
            words.append(f"{letter}{values[0]}x{values[1]}")
        elif values[0] != 1:
            words.append(f"{letter}{values[0]}")
    return " ".join(words)
