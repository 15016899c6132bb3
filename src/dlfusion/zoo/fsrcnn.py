"""FSRCNN(56, 12, 4) for twice the size (Dong et al., arXiv 1608.00367), on the brightness of a 540 x 960 image."""

from onnx import ModelProto

from dlfusion.zoo.builder import ModelBuilder

AFTER_PRELU = 1.9
"""As `builder.AFTER_RELU`, for slopes around 0.2."""


def build(*, seed: int, batch: int = 1, size: int = 540, width: int = 960, width_factor: float = 1.0) -> ModelProto:
    """Feature extraction, shrinking, four mappings, expanding, and a transposed convolution with stride 2."""
    features = max(1, round(56 * width_factor))
    shrunk = max(1, round(12 * width_factor))
    builder = ModelBuilder("fsrcnn", seed)
    value = builder.image(batch, size, width, channels=1)
    value = builder.prelu(builder.conv(value, features, 5, pad=2, gain=1.0))
    value = builder.prelu(builder.conv(value, shrunk, 1, gain=AFTER_PRELU))
    for _ in range(4):
        value = builder.prelu(builder.conv(value, shrunk, 3, pad=1, gain=AFTER_PRELU))
    value = builder.prelu(builder.conv(value, features, 1, gain=AFTER_PRELU))
    return builder.model(builder.conv_transpose(value, 1, 9, stride=2, pad=4, output_padding=1))
