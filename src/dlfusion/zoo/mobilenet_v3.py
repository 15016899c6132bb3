"""MobileNetV3-Large (Howard et al., arXiv 1905.02244), 224 x 224, batch normalization not yet folded."""

from onnx import ModelProto

from dlfusion.zoo.blocks import (
    AFTER_ACTIVATION,
    AFTER_DEPTHWISE_ACTIVATION,
    AFTER_GATE,
    AFTER_MEAN,
    RESIDUAL_SCALE,
    Activation,
    conv_norm,
    scaled,
    squeeze_excite,
)
from dlfusion.zoo.builder import ModelBuilder, Value

ROWS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
"""Kernel, expanded channels, channels, squeeze-and-excite, HardSwish in place of ReLU, stride: table 1 of the paper."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Inverted residuals with ReLU or HardSwish, some of them with squeeze-and-excite through HardSigmoid."""
    builder = ModelBuilder("mobilenetv3", seed, centered=True)
    value = builder.image(batch, size, width)
    stem = scaled(16, width_factor)
    value = conv_norm(builder, value, stem, 3, stride=2, gain=1.0, activation=ModelBuilder.hard_swish)
    for kernel, expanded, channels, squeezes, hard_swish, stride in ROWS:
        hidden, outputs = scaled(expanded, width_factor), scaled(channels, width_factor)
        activation = ModelBuilder.hard_swish if hard_swish else ModelBuilder.relu
        value = _inverted_residual(builder, value, kernel, hidden, outputs, squeezes, activation, stride)
    value = conv_norm(builder, value, scaled(960, width_factor), 1, gain=1.0, activation=ModelBuilder.hard_swish)
    value = builder.flatten(builder.global_average_pool(value))
    value = builder.hard_swish(builder.gemm(value, scaled(1280, width_factor), gain=AFTER_MEAN))
    return builder.model(builder.gemm(value, classes, gain=AFTER_ACTIVATION))


def _inverted_residual(
    builder: ModelBuilder,
    value: Value,
    kernel: int,
    hidden: int,
    channels: int,
    squeezes: bool,
    activation: Activation,
    stride: int,
) -> Value:
    branch = value
    if hidden != value.channels:
        branch = conv_norm(builder, branch, hidden, 1, gain=1.0, activation=activation)
    gain = AFTER_DEPTHWISE_ACTIVATION
    branch = conv_norm(builder, branch, hidden, kernel, stride=stride, groups=hidden, gain=gain, activation=activation)
    gain = AFTER_ACTIVATION
    if squeezes:
        squeezed = _multiple_of_eight(hidden / 4)
        branch = squeeze_excite(builder, branch, squeezed, gate=ModelBuilder.hard_sigmoid)
        gain = AFTER_GATE
    if stride == 1 and value.channels == channels:
        return builder.add(value, conv_norm(builder, branch, channels, 1, gain=gain, scale=RESIDUAL_SCALE))
    return conv_norm(builder, branch, channels, 1, gain=gain)


def _multiple_of_eight(channels: float) -> int:
    """The nearest multiple of 8 that is not below nine tenths of it, as the authors' code rounds."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
