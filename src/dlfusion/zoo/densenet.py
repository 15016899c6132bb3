"""DenseNet-121 (Huang et al., arXiv 1608.06993), 224 x 224, in the form of torchvision.

Each layer concatenates anew all that came before it in its block. The model `densenet` of the zoo is the graph that
Caffe2 published, which concatenates pairs.
"""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, classified, scaled
from dlfusion.zoo.builder import ModelBuilder, Value

BLOCKS = (6, 12, 24, 16)
"""Layers of each block: table 1 of the paper."""

GROWTH = 32


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Four dense blocks, and transitions that halve channels and map; `size` at least 32 pixels."""
    growth = scaled(GROWTH, width_factor)
    builder = ModelBuilder("densenet121", seed, centered=True)
    value = builder.image(batch, size, width)
    value = builder.conv(value, 2 * growth, 7, stride=2, pad=3, bias=False, gain=1.0)
    value = builder.max_pool(builder.relu(builder.batch_norm(value)), 3, stride=2, pad=1)
    for index, repeats in enumerate(BLOCKS):
        if index > 0:
            value = _normalized_conv(builder, value, value.channels // 2, 1)
            value = builder.average_pool(value, 2, stride=2)
        value = _dense_block(builder, value, repeats, growth)
    return builder.model(classified(builder, builder.relu(builder.batch_norm(value)), classes))


def _dense_block(builder: ModelBuilder, value: Value, repeats: int, growth: int) -> Value:
    values = [value]
    for index in range(repeats):
        value = values[0] if index == 0 else builder.concat(values)
        values.append(_normalized_conv(builder, _normalized_conv(builder, value, 4 * growth, 1), growth, 3))
    return builder.concat(values)


def _normalized_conv(builder: ModelBuilder, value: Value, channels: int, kernel: int) -> Value:
    value = builder.relu(builder.batch_norm(value))
    return builder.conv(value, channels, kernel, pad=kernel // 2, bias=False, gain=AFTER_ACTIVATION)
