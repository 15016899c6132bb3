"""EfficientNet-B0 (Tan and Le, arXiv 1905.11946), 224 x 224, batch normalization not yet folded."""

from onnx import ModelProto

from dlfusion.zoo.blocks import (
    AFTER_DEPTHWISE_ACTIVATION,
    AFTER_GATE,
    RESIDUAL_SCALE,
    classified,
    conv_norm,
    scaled,
    squeeze_excite,
    swish,
)
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
"""Expansion, kernel, channels, repeats and stride of the first repeat: table 1 of the paper."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Inverted residuals with Swish and squeeze-and-excite."""
    builder = ModelBuilder("efficientnet", seed, centered=True)
    value = builder.image(batch, size, width)
    value = conv_norm(builder, value, scaled(32, width_factor), 3, stride=2, gain=1.0, activation=swish)
    for expansion, kernel, channels, repeats, stride in STAGES:
        for index in range(repeats):
            outputs = scaled(channels, width_factor)
            value = _inverted_residual(builder, value, expansion, kernel, outputs, stride if index == 0 else 1)
    value = conv_norm(builder, value, scaled(1280, width_factor), 1, gain=1.0, activation=swish)
    return builder.model(classified(builder, value, classes))


def _inverted_residual(
    builder: ModelBuilder, value: Value, expansion: int, kernel: int, channels: int, stride: int
) -> Value:
    hidden = value.channels * expansion
    branch = value
    if expansion != 1:
        branch = conv_norm(builder, branch, hidden, 1, gain=1.0, activation=swish)
    branch = conv_norm(
        builder,
        branch,
        hidden,
        kernel,
        stride=stride,
        groups=hidden,
        gain=AFTER_DEPTHWISE_ACTIVATION,
        activation=swish,
    )
    branch = squeeze_excite(builder, branch, max(1, value.channels // 4), activation=swish)
    if stride == 1 and value.channels == channels:
        branch = conv_norm(builder, branch, channels, 1, gain=AFTER_GATE, scale=RESIDUAL_SCALE)
        return builder.add(branch, value)
    return conv_norm(builder, branch, channels, 1, gain=AFTER_GATE)
