"""ResNet-18 and ResNet-50 (He et al., arXiv 1512.03385), 224 x 224.

ResNet-50 is version 1.5: the stride of a bottleneck is in its 3x3 convolution, as in PyTorch.
"""

from collections.abc import Sequence

from onnx import ModelProto

from dlfusion.zoo.builder import ModelBuilder, Value

RESIDUAL_SCALE = 0.4
"""Scale of the last normalization of a branch: with 1, the variance would double with every block."""


def build_18(**options: object) -> ModelProto:
    """ResNet-18; options as in `_build`."""
    return _build("resnet18", (2, 2, 2, 2), False, **options)  # type: ignore[arg-type]


def build_50(**options: object) -> ModelProto:
    """ResNet-50 version 1.5; options as in `_build`."""
    return _build("resnet50", (3, 4, 6, 3), True, **options)  # type: ignore[arg-type]


def _build(
    name: str,
    repeats: Sequence[int],
    bottleneck: bool,
    *,
    seed: int,
    batch: int = 1,
    size: int = 224,
    width_factor: float = 1.0,
    classes: int = 1000,
) -> ModelProto:
    builder = ModelBuilder(name, seed)
    value = builder.image(batch, size)
    channels = max(1, round(64 * width_factor))
    value = stem(builder, value, channels)
    for stage, count in enumerate(repeats):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            value = residual(builder, value, channels * 2**stage, stride, bottleneck=bottleneck)
    value = builder.flatten(builder.global_average_pool(value))
    return builder.model(builder.gemm(value, classes))


def stem(builder: ModelBuilder, value: Value, channels: int) -> Value:
    """A 7x7 convolution and a pooling, each with stride 2."""
    value = builder.conv(value, channels, 7, stride=2, pad=3, bias=False, gain=1.0)
    return builder.max_pool(builder.relu(builder.batch_norm(value)), 3, stride=2, pad=1)


def residual(
    builder: ModelBuilder, value: Value, channels: int, stride: int, *, bottleneck: bool, dilation: int = 1
) -> Value:
    """One block: two 3x3 convolutions of `channels`, or 1x1, 3x3, 1x1 whose last has four times as many.

    `dilation` is that of a bottleneck's 3x3 convolution.
    """
    outputs = channels * 4 if bottleneck else channels
    if bottleneck:
        branch = builder.relu(builder.batch_norm(builder.conv(value, channels, 1, bias=False)))
        branch = builder.conv(branch, channels, 3, stride=stride, pad=dilation, dilation=dilation, bias=False)
        branch = builder.conv(builder.relu(builder.batch_norm(branch)), outputs, 1, bias=False)
    else:
        branch = builder.relu(builder.batch_norm(builder.conv(value, channels, 3, stride=stride, pad=1, bias=False)))
        branch = builder.conv(branch, outputs, 3, pad=1, bias=False)
    branch = builder.batch_norm(branch, scale=RESIDUAL_SCALE)
    shortcut = value
    if stride != 1 or value.channels != outputs:
        shortcut = builder.batch_norm(builder.conv(value, outputs, 1, stride=stride, bias=False, gain=1.0))
    return builder.relu(builder.add(branch, shortcut))
