"""Small builders of the networks that published figures are about, with weights of zeros."""

from collections.abc import Sequence

import numpy as np

from dlfusion.graph.builder import GraphBuilder
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.max_pool import MaxPool


def convolution(
    builder: GraphBuilder,
    value: str,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    pad: int | None = None,
    groups: int = 1,
    dilation: int = 1,
    name: str | None = None,
) -> str:
    """Append a convolution with a square kernel, padded to keep the size unless `pad` says otherwise."""
    border = (kernel - 1) * dilation // 2 if pad is None else pad
    operator = Conv((kernel, kernel), (stride, stride), (border,) * 4, (dilation, dilation), groups)
    weights = np.zeros((channels, builder.shape(value)[1] // groups, kernel, kernel), np.float32)
    return builder.node(operator, [value], [weights, np.zeros(channels, np.float32)], name=name)


def relu(builder: GraphBuilder, value: str) -> str:
    """Append a Relu."""
    return builder.node(Clip(0.0, float("inf")), [value])


def vgg_head(height: int = 224) -> GraphBuilder:
    """The first seven layers of VGG-19 (VGGNet-E), conv1_1 to conv3_1, input 3 x height x height."""
    builder = GraphBuilder("vgg-head")
    value = builder.input("image", (1, 3, height, height))
    for channels in (64, 128):
        for _ in range(2):
            value = relu(builder, convolution(builder, value, channels, 3))
        value = builder.node(MaxPool((2, 2), (2, 2)), [value])
    builder.output(relu(builder, convolution(builder, value, 256, 3)))
    return builder


def fsrcnn_valid() -> GraphBuilder:
    """FSRCNN as in DeFiNES: eight convolutions without padding, 974 x 554 to 960 x 540."""
    builder = GraphBuilder("fsrcnn")
    value = builder.input("image", (1, 1, 554, 974))
    for channels, kernel in ((56, 5), (12, 1), (12, 3), (12, 3), (12, 3), (12, 3), (56, 1), (16, 3)):
        value = convolution(builder, value, channels, kernel, pad=0)
    builder.output(value)
    return builder


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repetitions, first stride: MobileNetV2 (Sandler et al., CVPR 2018), table 2."""


def mobilenet_v2() -> GraphBuilder:
    """MobileNetV2 1.0 up to its last inverted residual, input 3 x 224 x 224, activations left out."""
    builder = GraphBuilder("mobilenet-v2")
    value = convolution(builder, builder.input("image", (1, 3, 224, 224)), 32, 3, stride=2)
    for expansion, channels, repetitions, first_stride in MOBILENET_V2:
        for index in range(repetitions):
            value = _inverted_residual(builder, value, expansion, channels, first_stride if index == 0 else 1)
    builder.output(value)
    return builder


def _inverted_residual(builder: GraphBuilder, source: str, expansion: int, channels: int, stride: int) -> str:
    inner = builder.shape(source)[1] * expansion
    value = convolution(builder, source, inner, 1) if expansion > 1 else source
    value = convolution(builder, value, inner, 3, stride=stride, groups=inner)
    value = convolution(builder, value, channels, 1)
    same = builder.shape(source) == builder.shape(value)
    return builder.node(Add(), [value, source]) if same else value


def resnet_50() -> GraphBuilder:
    """The convolutions of ResNet-50 v1.5, input 3 x 224 x 224, without the classifier."""
    builder = GraphBuilder("resnet-50")
    value = relu(builder, convolution(builder, builder.input("image", (1, 3, 224, 224)), 64, 7, stride=2))
    value = builder.node(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [value])
    for stage, repetitions in enumerate((3, 4, 6, 3)):
        for index in range(repetitions):
            value = _bottleneck(builder, value, 64 << stage, 2 if index == 0 and stage else 1)
    builder.output(value)
    return builder


def _bottleneck(builder: GraphBuilder, source: str, channels: int, stride: int) -> str:
    value = relu(builder, convolution(builder, source, channels, 1))
    value = relu(builder, convolution(builder, value, channels, 3, stride=stride))
    value = convolution(builder, value, channels * 4, 1)
    skip = source
    if builder.shape(source) != builder.shape(value):
        skip = convolution(builder, source, channels * 4, 1, stride=stride)
    return relu(builder, builder.node(Add(), [value, skip]))


def chain(sizes: Sequence[tuple[int, int, int]], height: int = 16, channels: int = 8, images: int = 1) -> GraphBuilder:
    """Convolutions of (channels, kernel, stride), one after the other."""
    builder = GraphBuilder("chain")
    value = builder.input("image", (images, channels, height, height))
    for outputs, kernel, stride in sizes:
        value = convolution(builder, value, outputs, kernel, stride=stride)
    builder.output(value)
    return builder
