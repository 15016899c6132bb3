"""U-Net (Ronneberger et al., arXiv 1505.04597) with padded convolutions and resizing on the way up, 512 x 512."""

from onnx import ModelProto

from dlfusion.zoo.builder import AFTER_POOL, AFTER_RELU, ModelBuilder, Value


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 512,
    width: int | None = None,
    width_factor: float = 1.0,
    levels: int = 4,
    linear: bool = False,
    classes: int = 2,
) -> ModelProto:
    """Four levels down and up, the maps of the way down concatenated on the way up.

    Where `size` or `width` is not divisible by 2^levels, what is enlarged gets a margin of zeros, as in the usual
    implementations in PyTorch. `linear` enlarges with bilinear interpolation instead of nearest.
    """
    channels = max(1, round(64 * width_factor))
    builder = ModelBuilder("unet", seed)
    value = builder.image(batch, size, width)
    value = _double(builder, value, channels, gain=1.0)
    skipped: list[Value] = []
    for _ in range(levels):
        skipped.append(value)
        channels *= 2
        value = _double(builder, builder.max_pool(value, 2, stride=2), channels, gain=AFTER_POOL)
    for skip in reversed(skipped):
        channels = skip.channels
        value = builder.relu(builder.conv(builder.upsample(value, 2, linear=linear), channels, 3, pad=1))
        value = _double(builder, builder.concat([skip, _with_margin(builder, value, skip)]), channels)
    return builder.model(builder.conv(value, classes, 1))


def _double(builder: ModelBuilder, value: Value, channels: int, *, gain: float = AFTER_RELU) -> Value:
    """Two 3x3 convolutions with ReLU; `gain` of the first."""
    value = builder.relu(builder.conv(value, channels, 3, pad=1, gain=gain))
    return builder.relu(builder.conv(value, channels, 3, pad=1))


def _with_margin(builder: ModelBuilder, value: Value, skip: Value) -> Value:
    """The map in the middle of one as large as `skip`."""
    height, width = (wanted - size for wanted, size in zip(skip.places, value.places, strict=True))
    if height == width == 0:
        return value
    return builder.pad(value, (height // 2, width // 2, height - height // 2, width - width // 2))
