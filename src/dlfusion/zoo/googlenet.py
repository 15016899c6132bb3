"""GoogLeNet (Szegedy et al., arXiv 1409.4842), 224 x 224, with local response normalization as published."""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, classified, scaled
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Channels of the modules between poolings: 1x1, 3x3 and what reduces for it, 5x5 and the same, 1x1 behind the pooling.

Table 1 of the paper.
"""

POOLED_GAIN = 1.2
"""Gain of a centered layer that reads maxima of rectified values."""


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Nine inception modules; poolings whose last window may reach outside, as in Caffe."""
    builder = ModelBuilder("googlenet", seed, centered=True)
    value = builder.image(batch, size, width)
    value = builder.relu(builder.conv(value, scaled(64, width_factor), 7, stride=2, pad=3, gain=1.0))
    value = builder.local_response_norm(builder.max_pool(value, 3, stride=2, ceil=True))
    value = builder.relu(builder.conv(value, scaled(64, width_factor), 1, gain=POOLED_GAIN))
    value = builder.relu(builder.conv(value, scaled(192, width_factor), 3, pad=1, gain=AFTER_ACTIVATION))
    value = builder.local_response_norm(value)
    for stage in STAGES:
        value = builder.max_pool(value, 3, stride=2, ceil=True)
        gain = POOLED_GAIN
        for module in stage:
            value = _inception(builder, value, [scaled(channels, width_factor) for channels in module], gain)
            gain = AFTER_ACTIVATION
    return builder.model(builder.softmax(classified(builder, value, classes)))


def _inception(builder: ModelBuilder, value: Value, channels: list[int], gain: float) -> Value:
    """Four branches next to one another; `gain` of the layers that read the input."""
    single, before_3x3, with_3x3, before_5x5, with_5x5, after_pool = channels
    branches = [builder.relu(builder.conv(value, single, 1, gain=gain))]
    for reduced, outputs, kernel in ((before_3x3, with_3x3, 3), (before_5x5, with_5x5, 5)):
        branch = builder.relu(builder.conv(value, reduced, 1, gain=gain))
        branch = builder.conv(branch, outputs, kernel, pad=kernel // 2, gain=AFTER_ACTIVATION)
        branches.append(builder.relu(branch))
    pooled = builder.max_pool(value, 3, stride=1, pad=1)
    branches.append(builder.relu(builder.conv(pooled, after_pool, 1, gain=POOLED_GAIN)))
    return builder.concat(branches)
