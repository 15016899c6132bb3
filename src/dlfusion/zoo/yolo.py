"""A detector in the form of YOLOv5s 6.0 (Jocher, github.com/ultralytics/yolov5, models/yolov5s.yaml), 640 x 640.

The outputs are those of the three heads' convolutions, for objects of three sizes: 3 anchors of 85 numbers a place.
"""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, RESIDUAL_SCALE, conv_norm, resized_like, scaled, swish
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = ((64, 1), (128, 2), (256, 3), (512, 1))
"""Channels and bottlenecks of each stage of the backbone, which begins with a convolution of stride 2."""

HEAD_CHANNELS = 3 * 85


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 640,
    width: int | None = None,
    width_factor: float = 1.0,
) -> ModelProto:
    """A backbone of cross-stage partial blocks with SiLU, a neck up and down again, three heads.

    The authors pad images to multiples of 32 pixels. Other sizes are resized in the neck to the map that is joined.
    """
    builder = ModelBuilder("yolo", seed, centered=True)
    value = builder.input("image", batch, 3, size, size if width is None else width)
    value = builder.conv(value, scaled(32, width_factor), 6, stride=2, pad=2, bias=False, gain=1.0)
    value = swish(builder, builder.batch_norm(value))
    maps = []
    for channels, repeats in STAGES:
        value = _conv(builder, value, scaled(channels, width_factor), 3, stride=2)
        value = _partial(builder, value, value.channels, repeats, residual=True)
        maps.append(value)
    value = _pyramid_pool(builder, value)
    joined = []
    for skip in (maps[2], maps[1]):
        value = _conv(builder, value, value.channels // 2, 1)
        joined.append(value)
        value = builder.concat([resized_like(builder, value, skip), skip])
        value = _partial(builder, value, skip.channels, 1, residual=False)
    heads = [value]
    for skip in reversed(joined):
        value = _conv(builder, value, value.channels, 3, stride=2)
        value = _partial(builder, builder.concat([value, skip]), 2 * skip.channels, 1, residual=False)
        heads.append(value)
    return builder.model(*(builder.conv(head, HEAD_CHANNELS, 1, gain=AFTER_ACTIVATION) for head in heads))


def _conv(
    builder: ModelBuilder, value: Value, channels: int, kernel: int, *, stride: int = 1, scale: float = 1.0
) -> Value:
    return conv_norm(builder, value, channels, kernel, stride=stride, scale=scale, activation=swish)


def _partial(builder: ModelBuilder, value: Value, channels: int, repeats: int, *, residual: bool) -> Value:
    """C3: half of the channels go through bottlenecks, the other half past them."""
    worked = _conv(builder, value, channels // 2, 1)
    for _ in range(repeats):
        scale = RESIDUAL_SCALE if residual else 1.0
        branch = _conv(builder, _conv(builder, worked, channels // 2, 1), channels // 2, 3, scale=scale)
        worked = builder.add(worked, branch) if residual else branch
    past = _conv(builder, value, channels // 2, 1)
    return _conv(builder, builder.concat([worked, past]), channels, 1)


def _pyramid_pool(builder: ModelBuilder, value: Value) -> Value:
    """SPPF: maxima over windows of 5, 9 and 13 places, by three poolings one after another."""
    channels = value.channels
    values = [_conv(builder, value, channels // 2, 1)]
    for _ in range(3):
        values.append(builder.max_pool(values[-1], 5, stride=1, pad=2))
    return _conv(builder, builder.concat(values), channels, 1)
