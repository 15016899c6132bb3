"""MobileNetV2 with width 1.0 (Sandler et al., arXiv 1801.04381), 224 x 224, batch normalization not yet folded."""

from onnx import ModelProto

from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats and stride of the first repeat: table 2 of the paper."""

RESIDUAL_SCALE = 0.5
"""Scale of the last normalization of a branch that is added to its input, so that the variance grows slowly."""


def build(*, seed: int, batch: int = 1, size: int = 224, width_factor: float = 1.0, classes: int = 1000) -> ModelProto:
    """Inverted residuals with depthwise 3x3 convolutions and ReLU6."""

    def scaled(channels: int) -> int:
        return max(1, round(channels * width_factor))

    builder = ModelBuilder("mobilenetv2", seed)
    value = builder.image(batch, size)
    value = builder.conv(value, scaled(32), 3, stride=2, pad=1, bias=False, gain=1.0)
    value = builder.relu6(builder.batch_norm(value))
    for expansion, channels, repeats, stride in STAGES:
        for index in range(repeats):
            value = _inverted_residual(builder, value, expansion, scaled(channels), stride if index == 0 else 1)
    value = builder.relu6(builder.batch_norm(builder.conv(value, scaled(1280), 1, bias=False, gain=1.0)))
    value = builder.flatten(builder.global_average_pool(value))
    return builder.model(builder.gemm(value, classes))


def _inverted_residual(builder: ModelBuilder, value: Value, expansion: int, channels: int, stride: int) -> Value:
    hidden = value.channels * expansion
    branch = value
    if expansion != 1:
        branch = builder.relu6(builder.batch_norm(builder.conv(branch, hidden, 1, bias=False, gain=1.0)))
    branch = builder.conv(branch, hidden, 3, stride=stride, pad=1, groups=hidden, bias=False)
    branch = builder.relu6(builder.batch_norm(branch))
    branch = builder.conv(branch, channels, 1, bias=False)
    if stride == 1 and value.channels == channels:
        return builder.add(value, builder.batch_norm(branch, scale=RESIDUAL_SCALE))
    return builder.batch_norm(branch)
