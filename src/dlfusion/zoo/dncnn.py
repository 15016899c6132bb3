"""DnCNN for grey images (Zhang et al., arXiv 1608.03981) with seven hidden layers, on a 512 x 512 image.

The batch normalization that the network is trained with is folded into the convolutions, as whoever runs it does.
"""

from onnx import ModelProto

from dlfusion.zoo.builder import ModelBuilder


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 512,
    width: int | None = None,
    width_factor: float = 1.0,
    hidden: int = 7,
) -> ModelProto:
    """3x3 convolutions with 64 channels that estimate the noise, which is subtracted from the image."""
    channels = max(1, round(64 * width_factor))
    builder = ModelBuilder("dncnn", seed)
    image = builder.image(batch, size, width, channels=1)
    value = builder.relu(builder.conv(image, channels, 3, pad=1, gain=1.0))
    for _ in range(hidden):
        value = builder.relu(builder.conv(value, channels, 3, pad=1))
    return builder.model(builder.subtract(image, builder.conv(value, 1, 3, pad=1)))
