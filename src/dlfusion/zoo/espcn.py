"""ESPCN for twice the size (Shi et al., arXiv 1609.05158), on the brightness of a 540 x 960 image.

With ReLU, and with the four convolutions that the usual implementations have: 5x5 64, 3x3 64, 3x3 32, 3x3 4.
"""

from onnx import ModelProto

from dlfusion.zoo.builder import ModelBuilder


def build(*, seed: int, batch: int = 1, size: int = 540, width: int = 960, width_factor: float = 1.0) -> ModelProto:
    """Four convolutions and a pixel shuffle."""

    def scaled(channels: int) -> int:
        return max(1, round(channels * width_factor))

    builder = ModelBuilder("espcn", seed)
    value = builder.image(batch, size, width, channels=1)
    value = builder.relu(builder.conv(value, scaled(64), 5, pad=2, gain=1.0))
    for channels in (64, 32):
        value = builder.relu(builder.conv(value, scaled(channels), 3, pad=1))
    value = builder.conv(value, 4, 3, pad=1)
    return builder.model(builder.depth_to_space(value, 2))
