"""Parts that several networks share, each of a few nodes in the form in which PyTorch exports it."""

import math
from collections.abc import Callable

from dlfusion.zoo.builder import ModelBuilder, Value

AFTER_ACTIVATION = 3.0
"""Gain of a layer with centered filters that reads a rectified or gated standard normal value.

The variances of ReLU, Swish, HardSwish and Gelu of it are 0.34, 0.31, 0.31 and 0.35.
"""

AFTER_DEPTHWISE_ACTIVATION = 2.8
"""The same for a depthwise layer, whose filters are not centered and see the mean too."""

AFTER_GATE = 7.0
"""Gain of a layer with centered filters that reads what a squeeze-and-excite gate has about halved."""

AFTER_MEAN = 30.0
"""Gain of a centered layer that reads means over maps, in which little but differences between channels is left."""

RESIDUAL_SCALE = 0.5
"""Scale of the last normalization of a branch that is added to its input, so that the variance grows slowly."""

Activation = Callable[[ModelBuilder, Value], Value]


def scaled(channels: int, factor: float, multiple: int = 1) -> int:
    """The channels of a model that is `factor` times as wide: a multiple of `multiple`, at least that."""
    return max(multiple, round(channels * factor / multiple) * multiple)


def swish(builder: ModelBuilder, value: Value) -> Value:
    """A value times its sigmoid, in two nodes."""
    return builder.multiply(value, builder.sigmoid(value))


def gelu(builder: ModelBuilder, value: Value) -> Value:
    """Half of x (1 + erf(x / sqrt(2))), in five nodes."""
    gate = builder.add(builder.erf(builder.divide(value, math.sqrt(2))), 1.0)
    return builder.multiply(builder.multiply(value, gate), 0.5)


def conv_norm(
    builder: ModelBuilder,
    value: Value,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    gain: float = AFTER_ACTIVATION,
    scale: float = 1.0,
    activation: Activation | None = None,
) -> Value:
    """A convolution padded by half its kernel, batch normalization of that scale, and an activation."""
    pad = dilation * (kernel - 1) // 2
    value = builder.conv(
        value, channels, kernel, stride=stride, pad=pad, dilation=dilation, groups=groups, bias=False, gain=gain
    )
    value = builder.batch_norm(value, scale=scale)
    return value if activation is None else activation(builder, value)


def squeeze_excite(
    builder: ModelBuilder,
    value: Value,
    squeezed: int,
    *,
    activation: Activation = ModelBuilder.relu,
    gate: Activation = ModelBuilder.sigmoid,
) -> Value:
    """Each channel times a number in 0..1 that depends on the means of all channels (Hu et al., arXiv 1709.01507)."""
    means = builder.global_average_pool(value)
    hidden = activation(builder, builder.conv(means, squeezed, 1, gain=12.0, centered=False))
    return builder.multiply(value, gate(builder, builder.conv(hidden, value.channels, 1, centered=False)))


def channels_last_norm(builder: ModelBuilder, value: Value) -> Value:
    """Layer normalization of a map's channels, which are last only meanwhile."""
    value = builder.layer_norm(builder.transpose(value, 0, 2, 3, 1))
    return builder.transpose(value, 0, 3, 1, 2)


def resized_like(builder: ModelBuilder, value: Value, other: Value) -> Value:
    """The map with the nearest element at each place of `other`: by a factor of 2 where that fits, else to its size."""
    if other.places == tuple(size * 2 for size in value.places):
        return builder.upsample(value, 2, linear=False)
    return builder.resize(value, other.places, linear=False)


def classified(builder: ModelBuilder, value: Value, classes: int) -> Value:
    """The scores of classes from the mean of a map."""
    return builder.gemm(builder.flatten(builder.global_average_pool(value)), classes, gain=AFTER_MEAN)
