"""ShuffleNetV2 with width 1.0 (Ma et al., arXiv 1807.11164), 224 x 224, batch normalization not yet folded."""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, AFTER_MEAN, conv_norm, scaled
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = ((116, 4), (232, 8), (464, 4))
"""Channels and repeats, the first of which has stride 2: table 5 of the paper."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Units that work on half the channels and shuffle all of them."""
    builder = ModelBuilder("shufflenetv2", seed, centered=True)
    value = builder.image(batch, size, width)
    stem = scaled(24, width_factor)
    value = conv_norm(builder, value, stem, 3, stride=2, gain=1.0, activation=ModelBuilder.relu)
    value = builder.max_pool(value, 3, stride=2, pad=1)
    for channels, repeats in STAGES:
        value = _reducing_unit(builder, value, scaled(channels, width_factor, 2))
        for _ in range(repeats - 1):
            value = _unit(builder, value)
    value = conv_norm(builder, value, scaled(1024, width_factor), 1, activation=ModelBuilder.relu)
    return builder.model(builder.gemm(builder.mean(value), classes, gain=AFTER_MEAN))


def _unit(builder: ModelBuilder, value: Value) -> Value:
    """Figure 3 (c): the second half of the channels goes through three convolutions."""
    kept, worked = builder.split(value, [value.channels // 2] * 2)
    return _shuffled(builder, builder.concat([kept, _branch(builder, worked, worked.channels, 1)]))


def _reducing_unit(builder: ModelBuilder, value: Value, channels: int) -> Value:
    """Figure 3 (d): both branches see all channels and halve the map."""
    first = conv_norm(builder, value, value.channels, 3, stride=2, groups=value.channels, gain=2.0)
    first = conv_norm(builder, first, channels // 2, 1, gain=1.0, activation=ModelBuilder.relu)
    return _shuffled(builder, builder.concat([first, _branch(builder, value, channels // 2, 2)]))


def _branch(builder: ModelBuilder, value: Value, channels: int, stride: int) -> Value:
    relu = ModelBuilder.relu
    value = conv_norm(builder, value, channels, 1, gain=AFTER_ACTIVATION, activation=relu)
    value = conv_norm(builder, value, channels, 3, stride=stride, groups=channels, gain=2.0)
    return conv_norm(builder, value, channels, 1, gain=1.0, activation=relu)


def _shuffled(builder: ModelBuilder, value: Value) -> Value:
    """The channels of both halves in turns, as a transpose between two reshapes."""
    batch, channels, height, width = value.shape
    value = builder.reshape(value, batch, 2, channels // 2, height, width)
    return builder.reshape(builder.transpose(value, 0, 2, 1, 3, 4), batch, channels, height, width)
