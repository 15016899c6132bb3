"""AlexNet in one column, without local response normalization (Krizhevsky, arXiv 1404.5997), 224 x 224."""

from onnx import ModelProto

from dlfusion.zoo.builder import AFTER_POOL, AFTER_RELU, ModelBuilder


def build(*, seed: int, batch: int = 1, size: int = 224, width_factor: float = 1.0, classes: int = 1000) -> ModelProto:
    """Five convolutions and three fully connected layers; `size` at least 63 pixels."""

    def scaled(channels: int) -> int:
        return max(1, round(channels * width_factor))

    builder = ModelBuilder("alexnet", seed)
    value = builder.image(batch, size)
    value = builder.relu(builder.conv(value, scaled(64), 11, stride=4, pad=2, gain=1.0))
    value = builder.max_pool(value, 3, stride=2)
    value = builder.relu(builder.conv(value, scaled(192), 5, pad=2, gain=AFTER_POOL))
    value = builder.max_pool(value, 3, stride=2)
    for channels, gain in ((384, AFTER_POOL), (256, AFTER_RELU), (256, AFTER_RELU)):
        value = builder.relu(builder.conv(value, scaled(channels), 3, pad=1, gain=gain))
    value = builder.flatten(builder.max_pool(value, 3, stride=2))
    for gain in (AFTER_POOL, AFTER_RELU):
        value = builder.relu(builder.gemm(value, scaled(4096), gain=gain))
    return builder.model(builder.gemm(value, classes))
