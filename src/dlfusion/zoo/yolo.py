"""A detector in the form of YOLOv5s 6.0 (Jocher, github.com/ultralytics/yolov5, models/yolov5s.yaml), 640 x 640.

The outputs are those of the three heads' convolutions, for objects of three sizes: 3 anchors of 85 numbers a place. Or
all of them as one list of boxes, in the form in which the authors export it.
"""

import numpy as np
from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, RESIDUAL_SCALE, conv_norm, resized_like, scaled, swish
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = ((64, 1), (128, 2), (256, 3), (512, 1))
"""Channels and bottlenecks of each stage of the backbone, which begins with a convolution of stride 2."""

NUMBERS = 85
"""Of each anchor: center, size, how sure it is, and 80 classes."""

ANCHORS = (
    (8, ((10, 13), (16, 30), (33, 23))),
    (16, ((30, 61), (62, 45), (59, 119))),
    (32, ((116, 90), (156, 198), (373, 326))),
)
"""Pixels between the places of each head, and widths and heights of its anchors in pixels."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 640,
    width: int | None = None,
    width_factor: float = 1.0,
    decoded: bool = False,
) -> ModelProto:
    """A backbone of cross-stage partial blocks with SiLU, a neck up and down again, three heads.

    With `decoded` the output is N x boxes x 85, with centers and sizes in pixels. The authors pad images to
    multiples of 32 pixels; maps of other sizes are resized in the neck to those that they join.
    """
    builder = ModelBuilder("yolo", seed, centered=True)
    value = builder.image(batch, size, width)
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
    outputs = [builder.conv(head, 3 * NUMBERS, 1, gain=AFTER_ACTIVATION) for head in heads]
    if not decoded:
        return builder.model(*outputs)
    boxes = [_boxes(builder, output, *anchors) for output, anchors in zip(outputs, ANCHORS, strict=True)]
    return builder.model(builder.concat(boxes))


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


def _boxes(builder: ModelBuilder, value: Value, stride: int, anchors: tuple[tuple[int, int], ...]) -> Value:
    """The boxes of one head, in pixels."""
    batch, _, height, width = value.shape
    value = builder.reshape(value, batch, len(anchors), NUMBERS, height, width)
    value = builder.sigmoid(builder.transpose(value, 0, 1, 3, 4, 2))
    centers, sizes, scores = builder.split(value, (2, 2, NUMBERS - 4), axis=4)
    shape = (1, len(anchors), height, width, 2)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) - np.float32(0.5)
    corners = np.broadcast_to(np.stack([columns, rows], axis=-1), shape)
    centers = builder.multiply(builder.add(builder.multiply(centers, 2.0), corners), float(stride))
    wholes = np.broadcast_to(np.array(anchors, np.float32).reshape(1, -1, 1, 1, 2), shape)
    sizes = builder.multiply(builder.power(builder.multiply(sizes, 2.0), 2.0), wholes)
    boxes = builder.concat([centers, sizes, scores], axis=4)
    return builder.reshape(boxes, batch, len(anchors) * height * width, NUMBERS)
