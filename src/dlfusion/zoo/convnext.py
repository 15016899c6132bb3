"""ConvNeXt-T (Liu et al., arXiv 2201.03545), 224 x 224, in the form of torchvision."""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, AFTER_MEAN, channels_last_norm, gelu, scaled
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = ((96, 3), (192, 3), (384, 9), (768, 3))
"""Channels and blocks: table 9 of the paper."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Depthwise 7x7 convolutions and fully connected layers on channels that are last; `size` at least 32 pixels."""
    builder = ModelBuilder("convnext", seed, centered=True)
    value = builder.image(batch, size, width)
    for stage, (channels, repeats) in enumerate(STAGES):
        outputs = scaled(channels, width_factor)
        if stage == 0:
            value = channels_last_norm(builder, builder.conv(value, outputs, 4, stride=4, gain=1.0))
        else:
            value = builder.conv(channels_last_norm(builder, value), outputs, 2, stride=2, gain=1.0)
        for _ in range(repeats):
            value = _block(builder, value)
    value = channels_last_norm(builder, builder.global_average_pool(value))
    return builder.model(builder.gemm(builder.flatten(value), classes, gain=AFTER_MEAN / 30))


def _block(builder: ModelBuilder, value: Value) -> Value:
    channels = value.channels
    branch = builder.conv(value, channels, 7, pad=3, groups=channels, gain=1.0)
    branch = builder.layer_norm(builder.transpose(branch, 0, 2, 3, 1))
    branch = gelu(builder, builder.matmul(branch, 4 * channels, gain=1.0))
    branch = builder.matmul(branch, channels, gain=AFTER_ACTIVATION)
    # The authors begin with a scale of 1e-6, which training enlarges; with that, blocks would do nothing.
    return builder.add(builder.scale(builder.transpose(branch, 0, 3, 1, 2), 0.2, 0.6), value)
