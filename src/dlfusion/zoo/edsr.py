"""EDSR baseline for twice the size (Lim et al., arXiv 1707.02921), on a 180 x 320 image."""

from onnx import ModelProto

from dlfusion.zoo.blocks import scaled
from dlfusion.zoo.builder import ModelBuilder, Value

BLOCKS = 16


def build(
    *, seed: int, batch: int = 1, size: int = 180, width: int | None = None, width_factor: float = 1.0
) -> ModelProto:
    """Residual blocks without normalization and a pixel shuffle.

    The authors subtract and add the mean colour by 1x1 convolutions of three channels, which also scale.
    """
    channels = scaled(64, width_factor)
    builder = ModelBuilder("edsr", seed)
    value = builder.image(batch, size, 320 if width is None else width)
    value = head = builder.conv(builder.conv(value, 3, 1, gain=1.0), channels, 3, pad=1, gain=1.0)
    for _ in range(BLOCKS):
        value = _residual(builder, value)
    value = builder.add(builder.conv(value, channels, 3, pad=1, gain=0.5), head)
    value = builder.depth_to_space(builder.conv(value, 4 * channels, 3, pad=1, gain=1.0), 2)
    value = builder.conv(value, 3, 3, pad=1, gain=1.0)
    return builder.model(builder.conv(value, 3, 1, gain=1.0))


def _residual(builder: ModelBuilder, value: Value) -> Value:
    branch = builder.relu(builder.conv(value, value.channels, 3, pad=1, gain=1.0))
    return builder.add(builder.conv(branch, value.channels, 3, pad=1, gain=0.3), value)
