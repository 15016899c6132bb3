"""RegNetY-400MF (Radosavovic et al., arXiv 2003.13678), 224 x 224, batch normalization not yet folded."""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, AFTER_GATE, classified, conv_norm, scaled, squeeze_excite
from dlfusion.zoo.builder import ModelBuilder, Value

STAGES = ((48, 1), (104, 3), (208, 6), (440, 6))
"""Channels and blocks, the first of which has stride 2: figure 15 of the paper."""

GROUP_CHANNELS = 8


def build(
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width: int | None = None,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    """Residual blocks with grouped convolutions and squeeze-and-excite."""
    builder = ModelBuilder("regnet", seed, centered=True)
    value = builder.image(batch, size, width)
    stem = scaled(32, width_factor)
    value = conv_norm(builder, value, stem, 3, stride=2, gain=1.0, activation=ModelBuilder.relu)
    for channels, repeats in STAGES:
        for index in range(repeats):
            value = _block(builder, value, scaled(channels, width_factor, GROUP_CHANNELS), 2 if index == 0 else 1)
    return builder.model(classified(builder, value, classes))


def _block(builder: ModelBuilder, value: Value, channels: int, stride: int) -> Value:
    """The Y block: 1x1, grouped 3x3, a gate from a quarter of the input's channels, 1x1."""
    shortcut = value
    if stride != 1 or value.channels != channels:
        shortcut = conv_norm(builder, value, channels, 1, stride=stride)
    branch = conv_norm(builder, value, channels, 1, gain=AFTER_ACTIVATION, activation=ModelBuilder.relu)
    groups = channels // GROUP_CHANNELS
    branch = conv_norm(builder, branch, channels, 3, stride=stride, groups=groups, activation=ModelBuilder.relu)
    branch = squeeze_excite(builder, branch, max(1, round(value.channels / 4)))
    branch = conv_norm(builder, branch, channels, 1, gain=AFTER_GATE, scale=0.4)
    return builder.relu(builder.add(shortcut, branch))
