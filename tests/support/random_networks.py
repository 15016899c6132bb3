"""Random networks for tests of row arithmetic: tall narrow maps, one or two channels, many kinds of windows."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import ArrayLike

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.resize import Resize, ResizeMode
from dlfusion.ops.slice import Slice

KINDS = (
    "conv",
    "conv",
    "conv",
    "strided",
    "dilated",
    "uneven",
    "pool",
    "transposed",
    "resize",
    "pad",
    "slice",
    "join",
    "stack",
    "relu",
    "gate",
    "mask",
    "normalized",
)
TALLEST = 64


class _Recorder(GraphBuilder):
    """A builder that remembers which values have been read."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.read: set[str] = set()

    def node(
        self,
        operator: Operator,
        inputs: Sequence[str],
        parameters: Sequence[ArrayLike | str] = (),
        *,
        name: str | None = None,
        output: str | None = None,
        origins: tuple[str, ...] = (),
    ) -> str:
        self.read.update(inputs)
        return super().node(operator, inputs, parameters, name=name, output=output, origins=origins)


@st.composite
def networks(draw: DrawFn, most_nodes: int = 12) -> Network:
    """A network with branches, joins, several outputs and changing heights; one image or two."""
    builder = _Recorder("random")
    height = draw(st.integers(1, 40))
    images = draw(st.sampled_from((1, 1, 2, 3)))
    values = [builder.input("image", (images, 1, height, 2))]
    for _ in range(draw(st.integers(1, most_nodes))):
        # Mostly the newest value, so that networks are deep.
        source = values[-1 - draw(st.sampled_from((0, 0, 0, 1, 2))) % len(values)]
        values.append(_node(draw, builder, values, source))
    for value in values[1:]:
        if value not in builder.read or draw(st.integers(0, 9)) == 0:
            builder.output(value)
    return describe(builder.build())


def _conv(
    builder: GraphBuilder,
    source: str,
    kernel: int,
    *,
    channels: int = 1,
    stride: int = 1,
    dilation: int = 1,
    pads: tuple[int, int] | None = None,
) -> str:
    """Append a convolution along the rows only; `pads` are rows above and below, by default keeping the height."""
    reach = (kernel - 1) * dilation
    above, below = pads or (reach // 2, reach - reach // 2)
    operator = Conv((kernel, 1), (stride, 1), (above, 0, below, 0), (dilation, 1))
    weights = np.zeros((channels, builder.shape(source)[1], kernel, 1))
    return builder.node(operator, [source], [weights, np.zeros(channels)])


def _node(draw: DrawFn, builder: GraphBuilder, values: list[str], source: str) -> str:
    shape = builder.shape(source)
    height = shape[2]
    kernel = draw(st.sampled_from((1, 2, 3, 5)))
    match draw(st.sampled_from(KINDS)):
        case "strided":
            return _conv(builder, source, kernel, stride=draw(st.integers(2, 3)))
        case "dilated":
            return _conv(builder, source, 3, dilation=draw(st.integers(2, 4)))
        case "uneven":
            above = draw(st.integers(0, kernel - 1))
            below = draw(st.integers(max(0, kernel - height - above), kernel))
            return _conv(builder, source, kernel, pads=(above, below))
        case "pool" if height >= 2:
            return builder.node(MaxPool((2, 1), (2, 1)), [source])
        case "transposed" if 3 * height <= TALLEST:
            stride = draw(st.integers(1, 3))
            operator = ConvTranspose((kernel, 1), (stride, 1))
            return builder.node(operator, [source], [np.zeros((shape[1], 1, kernel, 1)), np.zeros(1)])
        case "resize":
            mode = draw(st.sampled_from(ResizeMode))
            return builder.node(Resize(draw(st.integers(1, TALLEST)), shape[3], mode), [source])
        case "pad" if 3 <= height <= TALLEST - 4:
            mode = draw(st.sampled_from((PadMode.CONSTANT, PadMode.REFLECT, PadMode.EDGE)))
            return builder.node(Pad(draw(st.integers(-1, 2)), 0, draw(st.integers(-1, 2)), 0, mode=mode), [source])
        case "slice" if height >= 2:
            start, step = draw(st.integers(0, height // 2)), draw(st.integers(1, 3))
            rows = draw(st.integers(1, len(range(start, height, step))))
            return builder.node(Slice((0, start, 0), (shape[1], rows, shape[3]), (1, step, 1)), [source])
        case "stack" if 2 * height <= TALLEST:
            fitting = [value for value in values if builder.shape(value)[1::2] == shape[1::2]]
            other = draw(st.sampled_from(fitting))
            if builder.shape(other)[2] + height > TALLEST:
                other = source
            return builder.node(ConcatMap(2), [source, other])
        case "join":
            return _join(draw, builder, values, source)
        case "relu":
            return builder.node(Clip(0.0, 6.0), [source])
        case "gate":
            pooled = builder.node(GlobalAveragePool(), [source])
            return builder.node(Mul(), [source, _conv(builder, pooled, 1, channels=shape[1])])
        case "mask":
            return builder.node(Mul(), [source, _conv(builder, source, 3)])
        case "normalized":
            return builder.node(draw(st.sampled_from((GroupNormalize(shape[1]), LayerNormalize()))), [source])
        case _:
            return _conv(builder, source, 3, channels=draw(st.integers(1, 2)))


def _join(draw: DrawFn, builder: GraphBuilder, values: list[str], source: str) -> str:
    """A sum of two values of one shape, or a concatenation of two maps of one size."""
    shape = builder.shape(source)
    same = [value for value in values if builder.shape(value) == shape]
    if draw(st.booleans()):
        return builder.node(Add(), [source, draw(st.sampled_from(same))])
    alike = [value for value in values if builder.shape(value)[2:] == shape[2:]]
    return builder.node(Concat(), [source, draw(st.sampled_from(alike))])


TILED_CHANNELS = 16
"""Fewer are not computed in tiles."""


@st.composite
def tiled_networks(draw: DrawFn, most_nodes: int = 6) -> Network:
    """Networks most of whose layers can be computed in tiles: one image or two, sums, pools and changing heights."""
    builder = _Recorder("tiled")
    shape = (draw(st.sampled_from((1, 1, 2))), TILED_CHANNELS, draw(st.integers(4, 40)), draw(st.integers(3, 9)))
    values = [builder.input("image", shape)]
    for _ in range(draw(st.integers(1, most_nodes))):
        values.append(_tiled_node(draw, builder, values))
    for value in values[1:]:
        if value not in builder.read:
            builder.output(value)
    return describe(builder.build())


def _tiled_node(draw: DrawFn, builder: GraphBuilder, values: list[str]) -> str:
    source = values[-1 - draw(st.sampled_from((0, 0, 0, 1))) % len(values)]
    match draw(st.sampled_from(("3x3", "3x3", "3x3", "5x5", "strided", "pool", "sum"))):
        case "5x5":
            return _square(builder, source, 5)
        case "strided":
            return _square(builder, source, 3, stride=2)
        case "pool" if builder.shape(source)[2] >= 2:
            return builder.node(MaxPool((2, 1), (2, 1)), [source])
        case "sum":
            same = [value for value in values if builder.shape(value) == builder.shape(source)]
            return builder.node(Add(), [source, draw(st.sampled_from(same))])
    return _square(builder, source, 3)


def _square(builder: GraphBuilder, source: str, kernel: int, stride: int = 1) -> str:
    weights = np.zeros((TILED_CHANNELS, builder.shape(source)[1], kernel, kernel), np.float32)
    pads = ((kernel - 1) // 2,) * 4
    return builder.node(Conv((kernel, kernel), (stride, 1), pads), [source], [weights, np.zeros(TILED_CHANNELS)])
