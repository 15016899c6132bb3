"""NumPy's broadcasting rules, as far as operators of the graph can express them."""

from collections.abc import Sequence

import numpy as np

from dlfusion.frontend.context import UnsupportedNodeError, four_axes
from dlfusion.graph.graph import Array


def per_channel(constant: Array, shape: Sequence[int]) -> Array:
    """The constant that is broadcast to an activation of `shape`, as one number per channel (axis 1).

    Raises:
        UnsupportedNodeError: it varies along another axis, or would enlarge the activation.
    """
    aligned = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    if aligned.ndim != len(shape) or any(
        mine not in (1, size) for mine, size in zip(aligned.shape, shape, strict=True)
    ):
        raise UnsupportedNodeError(f"its constant of shape {constant.shape} does not broadcast to {tuple(shape)}")
    for axis, size in enumerate(aligned.shape):
        if axis == 1 or size == 1:
            continue
        first = aligned.take([0], axis)
        if not np.array_equal(np.broadcast_to(first, aligned.shape), aligned):
            raise UnsupportedNodeError(
                f"its constant of shape {constant.shape} varies along axis {axis} of {tuple(shape)}; "
                "only one value per channel (axis 1) is supported"
            )
        aligned = first
    return np.ascontiguousarray(np.broadcast_to(aligned.reshape(-1), (four_axes(shape)[1],)))
