"""VGG-19 (Simonyan and Zisserman, arXiv 1409.1556, configuration E), 224 x 224."""

from onnx import ModelProto

from dlfusion.zoo.builder import AFTER_POOL, AFTER_RELU, ModelBuilder

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of 3x3 convolutions before each pooling."""


def build(*, seed: int, batch: int = 1, size: int = 224, width_factor: float = 1.0, classes: int = 1000) -> ModelProto:
    """Sixteen convolutions and three fully connected layers; `size` at least 32 pixels."""

    def scaled(channels: int) -> int:
        return max(1, round(channels * width_factor))

    builder = ModelBuilder("vgg19", seed)
    value = builder.image(batch, size)
    gain = 1.0
    for channels, repeats in STAGES:
        for _ in range(repeats):
            value = builder.relu(builder.conv(value, scaled(channels), 3, pad=1, gain=gain))
            gain = AFTER_RELU
        value = builder.max_pool(value, 2, stride=2)
        gain = AFTER_POOL
    value = builder.flatten(value)
    for gain in (AFTER_POOL, AFTER_RELU):
        value = builder.relu(builder.gemm(value, scaled(4096), gain=gain))
    return builder.model(builder.gemm(value, classes))
