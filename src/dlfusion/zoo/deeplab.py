"""DeepLabV3 on ResNet-50 with stride 8 (Chen et al., arXiv 1706.05587), 520 x 520, in the form of torchvision."""

from onnx import ModelProto

from dlfusion.zoo.blocks import conv_norm, scaled
from dlfusion.zoo.builder import AFTER_RELU, ModelBuilder, Value
from dlfusion.zoo.resnet import residual, stem

STAGES = ((3, 1, 1), (4, 2, 1), (6, 1, 2), (3, 1, 4))
"""Blocks, stride and dilation of each stage; its first block still has the dilation of the stage before."""

RATES = (12, 24, 36)
"""Dilations of the pyramid: section 4.1, for stride 8."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 520,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 21,
) -> ModelProto:
    """Dilated residual stages, a pyramid of dilated convolutions with a pooled branch, scores as large as the image."""
    builder = ModelBuilder("deeplab", seed)
    image = builder.image(batch, size, width)
    channels = scaled(64, width_factor)
    value = stem(builder, image, channels)
    before = 1
    for stage, (repeats, stride, dilation) in enumerate(STAGES):
        for index in range(repeats):
            first = index == 0
            value = residual(
                builder,
                value,
                channels * 2**stage,
                stride if first else 1,
                bottleneck=True,
                dilation=before if first else dilation,
            )
        before = dilation
    value = _pyramid(builder, value, scaled(256, width_factor))
    value = _conv(builder, value, value.channels, 3)
    value = builder.conv(value, classes, 1)
    return builder.model(builder.resize(value, image.places, linear=True))


def _pyramid(builder: ModelBuilder, value: Value, channels: int) -> Value:
    """Atrous spatial pyramid pooling: section 3.3, with batch normalization."""
    branches = [_conv(builder, value, channels, 1)]
    branches += [_conv(builder, value, channels, 3, dilation=rate) for rate in RATES]
    pooled = _conv(builder, builder.global_average_pool(value), channels, 1)
    branches.append(builder.resize(pooled, value.places, linear=True))
    return _conv(builder, builder.concat(branches), channels, 1)


def _conv(builder: ModelBuilder, value: Value, channels: int, kernel: int, *, dilation: int = 1) -> Value:
    relu = ModelBuilder.relu
    return conv_norm(builder, value, channels, kernel, dilation=dilation, gain=AFTER_RELU, activation=relu)
