"""Hypothesis strategies for small random graphs: branches, odd sizes, every operator, several inputs and outputs.

Weights are seeded and scaled by their fan-in, so that values stay of order one however the graph is drawn.
"""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Graph
from dlfusion.ops.abs import Abs
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.ceil import Ceil
from dlfusion.ops.celu import Celu
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.div import Div
from dlfusion.ops.elu import Elu
from dlfusion.ops.erf import Erf
from dlfusion.ops.exp import Exp
from dlfusion.ops.floor import Floor
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.log import Log
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max import Max
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.min import Min
from dlfusion.ops.mish import Mish
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.pow import Pow
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.resize import WHOLE, Coordinates, Resize, ResizeMode, Rounding
from dlfusion.ops.selu import Selu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.slice import Slice
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.softsign import Softsign
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.spatial import Padding, Pair, ceil_mode_excess, extent
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.ops.thresholded_relu import ThresholdedRelu
from dlfusion.ops.transpose import Transpose

Array = NDArray[np.float32]

CHANNELS = (8, 16, 1, 3, 12, 17, 24, 32, 33, 48)
MAPS = ((8, 8), (7, 7), (5, 5), (13, 13), (17, 17), (31, 9), (9, 31), (16, 24), (33, 5), (12, 33), (1, 29))
BINARY: tuple[Operator, ...] = (
    Sub(),
    Sub(reversed=True),
    Max(),
    Min(),
    Div(),
    Div(reversed=True),
    Pow(),
    Pow(reversed=True),
)
UNARY: tuple[Operator, ...] = (
    Clip(),
    Clip(0, 6),
    Clip(-0.5, math.inf),
    LeakyRelu(0.1),
    Sigmoid(),
    Tanh(),
    HardSigmoid(),
    HardSwish(),
)
FUNCTIONS: tuple[Operator, ...] = (
    Abs(),
    Elu(0.7),
    Celu(0.5),
    Selu(),
    Erf(),
    Gelu(),
    Gelu(by_tanh=True),
    Mish(),
    Softplus(),
    Softsign(),
    Swish(1.5),
)
POSITIVE: tuple[Operator, ...] = (Log(), Sqrt(), Reciprocal(), Exp())
"""Applied to numbers from 1/4 to 2 only, so that their results are of order one."""
STEPS: tuple[Operator, ...] = (Floor(), Ceil(), ThresholdedRelu(0.25))
"""Applied to inputs only: where they jump, results that are rounded differently would differ much."""

MAXIMUM_MAP_SIZE = 40
MAXIMUM_CHANNELS = 100
MAXIMUM_FLAT_CHANNELS = 3000


def random_inputs(graph: Graph, seed: int) -> tuple[Array, ...]:
    """One array for each input of the graph, with values in -1..1."""
    generator = np.random.default_rng(seed)
    return tuple(generator.uniform(-1, 1, port.array_shape).astype(np.float32) for port in graph.inputs)


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 10, common: bool = False) -> Graph:
    """Graphs that draw up to `max_nodes` operators, only `common` ones if asked; a few more nodes may join loose ends.

    Every node and every input is read or is an output, so nothing can be left out of a plan.
    """
    drawing = _Drawing(draw)
    for _ in range(draw(st.integers(1, max_nodes), label="nodes")):
        drawing.step(COMMON_KINDS if common else KINDS)
    return drawing.finish()


class _Drawing:
    """A graph in the making. Each drawing method adds one operator after `source`, or nothing where it cannot."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.generator = np.random.default_rng(draw(st.integers(0, 2**16), label="weights seed"))
        self.builder = GraphBuilder("random")
        self.values: list[str] = []
        self.read: set[str] = set()
        self.batch = draw(st.sampled_from((1, 1, 2, 3)))
        self.inputs: list[str] = []
        self.input(draw(st.sampled_from(MAPS)))
        if draw(st.integers(0, 3)) == 3:
            # Half of the second inputs fit the first, so that both can meet.
            self.input(self.builder.shape("input_0")[2:] if draw(st.booleans()) else draw(st.sampled_from(MAPS)))

    def input(self, size: tuple[int, ...]) -> None:
        name = f"input_{len(self.inputs)}"
        shape = (self.batch, self.draw(st.sampled_from(CHANNELS)), size[0], size[1])
        self.inputs.append(self.builder.input(name, shape))
        self.values.append(name)

    def step(self, kinds: "tuple[Kind, ...]") -> None:
        """Add an operator of a random kind, mostly to the last value, so that chains grow long."""
        last = self.draw(st.integers(0, 4)) < 4
        source = self.values[-1] if last else self.draw(st.sampled_from(self.values), label="source")
        kind = self.draw(st.sampled_from(kinds), label="kind")
        kind(self, source)

    def finish(self) -> Graph:
        """Maybe close with a classifier; then every value that nobody reads becomes an output, and some others."""
        if self.draw(st.integers(0, 3)) == 3:
            pooled = self.add(self.draw(st.sampled_from((GlobalAveragePool(), GlobalMaxPool()))), self.values[-1])
            self.gemm(pooled)
        for value in self.inputs:
            if value not in self.read:
                self.add(Clip(), value)
        for value in self.values:
            extra = value not in self.inputs and self.draw(st.integers(0, 15)) == 15
            if value not in self.read or extra:
                batch, channels, height, width = self.builder.shape(value)
                flat = height == width == 1 and self.draw(st.booleans())
                self.builder.output(value, array_shape=(batch, channels) if flat else None)
        return self.builder.build()

    def add(self, operator: Operator, *sources: str, parameters: tuple[Array, ...] = ()) -> str:
        output = self.builder.node(operator, sources, parameters)
        self.read.update(sources)
        self.values.append(output)
        return output

    def shape(self, value: str) -> Shape:
        return self.builder.shape(value)

    def weights(self, *shape: int, fan_in: int) -> Array:
        bound = math.sqrt(3 / fan_in)
        return self.generator.uniform(-bound, bound, shape).astype(np.float32)

    def uniform(self, low: float, high: float, size: int) -> Array:
        return self.generator.uniform(low, high, size).astype(np.float32)

    def axis(self, size: int, dilations: tuple[int, ...]) -> tuple[int, ...]:
        """Kernel, stride, dilation, padding before and after along one axis, such that at least one window fits."""
        kernel = self.draw(st.sampled_from((3, 1, 2, 4, 5, 6, 7)))
        stride = self.draw(st.sampled_from((1, 1, 2, 3)))
        dilation = self.draw(st.sampled_from(dilations))
        span = extent(kernel, dilation)
        same = (span - 1) // 2
        before, after = self.draw(
            st.sampled_from(((same, span - 1 - same), (same, span - 1 - same), (0, 0)))
            | st.tuples(st.integers(0, span - 1), st.integers(0, span - 1))
        )
        if size + before + after < span:
            before = after = span - 1
        return kernel, stride, dilation, before, after

    def sliding(self, shape: Shape, dilations: tuple[int, ...] = (1, 1, 2, 3)) -> tuple[Pair, Pair, Padding, Pair]:
        """Kernel, strides, pads and dilations; more often square than not."""
        rows = self.axis(shape[2], dilations)
        fits = shape[3] + rows[3] + rows[4] >= extent(rows[0], rows[2])
        columns = rows if fits and self.draw(st.integers(0, 2)) else self.axis(shape[3], dilations)
        pairs = list(zip(rows, columns, strict=True))
        return pairs[0], pairs[1], (rows[3], columns[3], rows[4], columns[4]), pairs[2]

    def convolve(self, source: str, operator: Conv, outputs: int) -> str:
        per_group = self.shape(source)[1] // operator.groups
        fan_in = per_group * math.prod(operator.kernel)
        weights = self.weights(outputs, per_group, *operator.kernel, fan_in=fan_in)
        return self.add(operator, source, parameters=(weights, self.uniform(-0.5, 0.5, outputs)))

    def conv(self, source: str) -> None:
        kernel, strides, pads, dilations = self.sliding(self.shape(source))
        self.convolve(source, Conv(kernel, strides, pads, dilations), self.draw(st.sampled_from(CHANNELS)))

    def plain_conv(self, source: str) -> None:
        size = self.draw(st.sampled_from((3, 1, 5)))
        stride = self.draw(st.sampled_from((1, 1, 2)))
        pad = size // 2
        operator = Conv((size, size), (stride, stride), (pad, pad, pad, pad))
        self.convolve(source, operator, self.draw(st.sampled_from(CHANNELS)))

    def depthwise_conv(self, source: str) -> None:
        kernel, strides, pads, dilations = self.sliding(self.shape(source))
        channels = self.shape(source)[1]
        self.convolve(source, Conv(kernel, strides, pads, dilations, channels), channels)

    def grouped_conv(self, source: str) -> None:
        channels = self.shape(source)[1]
        groups = self.draw(st.sampled_from(_divisors(channels)))
        kernel, strides, pads, dilations = self.sliding(self.shape(source))
        outputs = groups * self.draw(st.sampled_from((1, 2, 3, 5, 8)))
        if outputs <= MAXIMUM_CHANNELS:
            self.convolve(source, Conv(kernel, strides, pads, dilations, groups), outputs)

    def conv_transpose(self, source: str) -> None:
        shape = self.shape(source)
        kernel, strides, pads, dilations = self.sliding(shape, dilations=(1, 1, 2))
        output_padding = (
            self.draw(st.integers(0, max(strides[0], dilations[0]) - 1)),
            self.draw(st.integers(0, max(strides[1], dilations[1]) - 1)),
        )
        groups = self.draw(st.sampled_from((1, 1, _divisors(shape[1])[-1])))
        operator = ConvTranspose(kernel, strides, pads, dilations, output_padding, groups)
        outputs = self.draw(st.sampled_from((8, 1, 3, 16, 17))) if groups == 1 else 1
        sizes = [
            (shape[2 + axis] - 1) * strides[axis]
            + extent(kernel[axis], dilations[axis])
            + output_padding[axis]
            - pads[axis]
            - pads[axis + 2]
            for axis in (0, 1)
        ]
        if min(sizes) >= 1 and max(sizes) <= MAXIMUM_MAP_SIZE:
            fan_in = shape[1] // groups * math.ceil(math.prod(kernel) / math.prod(strides))
            weights = self.weights(shape[1], outputs, *kernel, fan_in=fan_in)
            self.add(operator, source, parameters=(weights, self.uniform(-0.5, 0.5, outputs * groups)))

    def max_pool(self, source: str) -> None:
        kernel, strides, pads, dilations = self.sliding(self.shape(source))
        if dilations != (1, 1):
            # Padding might leave a dilated window without any element, and minus infinity would spread.
            pads = (0, 0, 0, 0)
        if self.fits(source, kernel, pads, dilations):
            rows, columns = self.ceil_mode(source, kernel, strides, pads, dilations)
            self.add(MaxPool(kernel, strides, (pads[0], pads[1], pads[2] + rows, pads[3] + columns), dilations), source)

    def fits(self, source: str, kernel: Pair, pads: Padding, dilations: Pair) -> bool:
        """Whether at least one window lies in the padded map."""
        size = self.shape(source)[2:]
        return all(extent(kernel[a], dilations[a]) <= size[a] + pads[a] + pads[a + 2] for a in (0, 1))

    def ceil_mode(self, source: str, kernel: Pair, strides: Pair, pads: Padding, dilations: Pair) -> Pair:
        """How far windows reach past the padding: nothing, or as in ONNX's ceil mode."""
        if dilations != (1, 1) or not self.draw(st.booleans()):
            return (0, 0)
        height, width = self.shape(source)[2:]
        return (
            ceil_mode_excess(height, kernel[0], strides[0], 1, pads[0], pads[2]),
            ceil_mode_excess(width, kernel[1], strides[1], 1, pads[1], pads[3]),
        )

    def average_pool(self, source: str) -> None:
        kernel, strides, pads, dilations = self.sliding(self.shape(source), dilations=(1, 1, 1, 2))
        if dilations != (1, 1):
            # Padding might leave a dilated window without any element.
            pads = (0, 0, 0, 0)
        if self.fits(source, kernel, pads, dilations):
            excess = self.ceil_mode(source, kernel, strides, pads, dilations)
            self.add(AveragePool(kernel, strides, pads, excess, self.draw(st.booleans()), dilations), source)

    def norm_pool(self, source: str) -> None:
        """A norm, clipped because it grows with the number of elements."""
        kernel, strides, pads, dilations = self.sliding(self.shape(source))
        p = self.draw(st.sampled_from((2, 1)))
        windows = LpPool(kernel, strides, pads, dilations, p)
        self.add(Clip(0, 6), self.add(self.draw(st.sampled_from((windows, windows, GlobalLpPool(p)))), source))

    def resize(self, source: str) -> None:
        height, width = self.shape(source)[2:]
        if max(height, width) > MAXIMUM_MAP_SIZE // 2:
            return
        size = self.draw(
            st.just((2 * height, 2 * width)) | st.tuples(st.integers(1, 2 * height), st.integers(1, 2 * width))
        )
        mode = self.draw(st.sampled_from(ResizeMode))
        rounding = self.draw(st.sampled_from(Rounding)) if mode is ResizeMode.NEAREST else Rounding.PREFER_FLOOR
        coordinates = self.draw(st.sampled_from(Coordinates))
        antialias = mode is not ResizeMode.NEAREST and self.draw(st.booleans())
        region = ((0.2, 0.7), (0.0, 1.0)) if coordinates is Coordinates.CROP else WHOLE
        self.add(Resize(*size, mode, coordinates, rounding, antialias=antialias, region=region), source)

    def depth_to_space(self, source: str) -> None:
        _, channels, height, width = self.shape(source)
        block = self.draw(st.sampled_from((2, 3)))
        if max(height, width) * block <= MAXIMUM_MAP_SIZE:
            if channels % block**2:
                source = self.convolve(source, Conv((1, 1)), block**2 * self.draw(st.sampled_from((1, 3, 8))))
            self.add(DepthToSpace(block, self.draw(st.sampled_from(ChannelOrder))), source)

    def space_to_depth(self, source: str) -> None:
        _, channels, height, width = self.shape(source)
        block = self.draw(st.sampled_from((2, 3)))
        if channels * block**2 <= MAXIMUM_CHANNELS and min(height, width) >= block:
            if height % block or width % block:
                source = self.add(Pad(0, 0, -height % block, -width % block), source)
            self.add(SpaceToDepth(block, self.draw(st.sampled_from(ChannelOrder))), source)

    def channel_shuffle(self, source: str) -> None:
        self.add(ChannelShuffle(self.draw(st.sampled_from(_divisors(self.shape(source)[1])))), source)

    def lrn(self, source: str) -> None:
        self.add(Lrn(self.draw(st.sampled_from((5, 1, 2, 3))), alpha=0.1), source)

    def softmax(self, source: str) -> None:
        self.add(Softmax(), source)

    def log_softmax(self, source: str) -> None:
        self.add(LogSoftmax(), source)

    # What normalizations divide by is kept far from zero, where rounding errors would grow.
    def group_normalize(self, source: str) -> None:
        groups = self.draw(st.sampled_from(_divisors(self.shape(source)[1])[::-1]))
        self.add(GroupNormalize(groups, epsilon=0.1), source)

    def layer_normalize(self, source: str) -> None:
        self.add(LayerNormalize(epsilon=0.1), source)

    def lp_normalize(self, source: str) -> None:
        self.add(LpNormalize(self.draw(st.sampled_from((2, 1)))), self.add(Clip(0.5, math.inf), source))

    def reduce_channels(self, source: str) -> None:
        """The mean over channels, or something else that stays of order one."""
        reductions = (Reduction.MEAN, Reduction.MAXIMUM, Reduction.MINIMUM)
        self.add(ReduceChannels(self.draw(st.sampled_from(reductions))), source)

    def transpose(self, source: str) -> None:
        order = self.draw(st.sampled_from(((2, 3, 1), (3, 1, 2), (1, 3, 2), (3, 2, 1), (2, 1, 3))))
        channels, height, width = (self.shape(source)[axis] for axis in order)
        if channels <= MAXIMUM_CHANNELS and max(height, width) <= MAXIMUM_MAP_SIZE:
            self.add(Transpose(order), source)

    def pad(self, source: str) -> None:
        top, left, bottom, right = (self.draw(st.integers(0, 2)) for _ in range(4))
        if max(self.shape(source)[2:]) + 4 <= MAXIMUM_MAP_SIZE:
            value, mode = self.draw(st.sampled_from((0.0, -0.5))), self.draw(st.sampled_from(PadMode))
            if min(self.shape(source)[2:]) < 3 and mode in (PadMode.REFLECT, PadMode.WRAP):
                mode = PadMode.EDGE
            self.add(Pad(top, left, bottom, right, value, mode), source)

    def slice(self, source: str) -> None:
        """A part, mostly of the channels, as splits take it, or of the map; seldom backwards."""
        parts = [self.part(size) for size in self.shape(source)[1:]]
        whole = [(0, size, 1) for size in self.shape(source)[1:]]
        for axis in range(3):
            if self.draw(st.booleans()):
                parts[axis] = whole[axis]
        starts, sizes, steps = zip(*parts, strict=True)
        self.add(Slice(starts, sizes, steps), source)

    def part(self, size: int) -> tuple[int, int, int]:
        """Start, size and step of a part of an axis."""
        step = self.draw(st.sampled_from((1, 1, 1, 2, 3, -1)))
        start = self.draw(st.integers(0, (size - 1) // 2) | st.sampled_from((0, size // 2)))
        taken = range(start, size, step) if step > 0 else range(size - 1 - start, -1, step)
        return taken.start, self.draw(st.integers((len(taken) + 1) // 2, len(taken))), step

    def concat_map(self, source: str) -> None:
        """Two or three copies of a value, or of a value and one made from it, side by side or one below the other."""
        axis = self.draw(st.sampled_from((2, 3)))
        others = self.draw(st.lists(st.sampled_from((source, self.partner(source))), min_size=1, max_size=2))
        if self.shape(source)[axis] * 3 <= MAXIMUM_MAP_SIZE:
            self.add(ConcatMap(axis), source, *others)

    def unary(self, source: str) -> None:
        self.add(self.draw(st.sampled_from(UNARY)), source)

    def function(self, source: str) -> None:
        self.add(self.draw(st.sampled_from(FUNCTIONS)), source)

    def positive(self, source: str) -> None:
        self.add(self.draw(st.sampled_from(POSITIVE)), self.add(Clip(0.25, 2), source))

    def stairs(self, source: str) -> None:
        self.add(self.draw(st.sampled_from(STEPS)), self.draw(st.sampled_from(self.inputs)))

    def p_relu(self, source: str) -> None:
        self.add(PRelu(), source, parameters=(self.uniform(-0.5, 0.5, self.shape(source)[1]),))

    def affine(self, source: str) -> None:
        channels = self.shape(source)[1]
        self.add(Affine(), source, parameters=(self.uniform(0.5, 1.5, channels), self.uniform(-0.5, 0.5, channels)))

    def partner(self, source: str) -> str:
        """Another value of the same shape, or else a 3 x 3 convolution of the same one: a residual branch."""
        others = [value for value in self.values[::-1] if value != source and self.shape(value) == self.shape(source)]
        if self.draw(st.booleans()) and others:
            return self.draw(st.sampled_from(others))
        return self.convolve(source, Conv((3, 3), pads=(1, 1, 1, 1)), self.shape(source)[1])

    def binary(self, source: str) -> None:
        operands = [source, self.partner(source)]
        if self.draw(st.booleans()):
            operands.reverse()
        self.add(self.draw(st.sampled_from((Add(), Add(), Mul()))), *operands)

    def rare_binary(self, source: str) -> None:
        """Differences and extremes of two activations; quotients and powers of those that have them."""
        operands = [source, self.partner(source)]
        operator = self.draw(st.sampled_from(BINARY))
        if isinstance(operator, Div | Pow):
            operands = [self.add(Clip(0.25, 2), operand) for operand in operands]
        self.add(operator, *operands)

    def broadcast(self, source: str) -> None:
        """The map with an operand that has one channel, row or column, or several of these."""
        _, channels, height, width = self.shape(source)
        kernel = (self.draw(st.sampled_from((1, height))), self.draw(st.sampled_from((1, width))))
        pooled = self.add(AveragePool(kernel, kernel), source)
        mixed = self.convolve(pooled, Conv((1, 1)), self.draw(st.sampled_from((1, channels))))
        self.add(self.draw(st.sampled_from((Add(), Mul(), *BINARY[:4]))), source, mixed)

    def with_constant(self, source: str) -> None:
        """The map with a constant number, one per channel, or a map."""
        shape = [self.draw(st.sampled_from((1, size))) for size in self.shape(source)[1:]]
        constant = self.uniform(0.5, 1.5, math.prod(shape)).reshape(shape)
        operator = self.draw(st.sampled_from((Add(), Mul(), *BINARY)))
        if isinstance(operator, Div | Pow):
            source = self.add(Clip(0.25, 2), source)
        self.add(operator, source, parameters=(constant,))

    def channel_factor(self, source: str) -> None:
        """Squeeze and excitation: the map times a factor for each channel made from its mean."""
        channels = self.shape(source)[1]
        squeezed = self.convolve(self.add(GlobalAveragePool(), source), Conv((1, 1)), channels)
        self.add(Mul(), source, self.add(HardSigmoid(), squeezed))

    def concat(self, source: str) -> None:
        batch, channels, height, width = self.shape(source)
        fitting = [
            value
            for value in self.values[::-1]
            if self.shape(value)[2:] == (height, width) and self.shape(value)[0] == batch
        ]
        others = self.draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2))
        if channels + sum(self.shape(value)[1] for value in others) <= MAXIMUM_CHANNELS:
            self.add(Concat(), source, *others)

    def branches(self, source: str) -> None:
        """Inception: convolutions of several kernels side by side, concatenated."""
        outputs = []
        for size in self.draw(st.lists(st.sampled_from((1, 3, 5)), min_size=2, max_size=3)):
            pad = size // 2
            operator = Conv((size, size), pads=(pad, pad, pad, pad))
            outputs.append(self.convolve(source, operator, self.draw(st.sampled_from((3, 8, 16, 17)))))
        self.add(Concat(), *outputs)

    def gemm(self, source: str) -> None:
        fan_in = math.prod(self.shape(source)[1:])
        if fan_in <= MAXIMUM_FLAT_CHANNELS:
            outputs = self.draw(st.sampled_from((10, 1, 16, 33)))
            weights = self.weights(outputs, *self.shape(source)[1:], fan_in=fan_in)
            self.add(Gemm(), source, parameters=(weights, self.uniform(-0.5, 0.5, outputs)))

    def reshape(self, source: str) -> None:
        batch, channels, height, width = self.shape(source)
        if channels * height * width <= MAXIMUM_FLAT_CHANNELS:
            flat = (batch, channels * height * width, 1, 1)
            self.add(Reshape(self.draw(st.sampled_from((flat, (batch, channels, width, height))))), source)


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


# Simple kinds first: hypothesis shrinks towards them. Convolutions and residual branches are what networks are made of,
# so they appear more than once.
Kind = Callable[[_Drawing, str], None]
COMMON_KINDS: tuple[Kind, ...] = (
    _Drawing.unary,
    _Drawing.plain_conv,
    _Drawing.plain_conv,
    _Drawing.plain_conv,
    _Drawing.conv,
    _Drawing.conv,
    _Drawing.depthwise_conv,
    _Drawing.depthwise_conv,
    _Drawing.binary,
    _Drawing.binary,
    _Drawing.concat,
    _Drawing.branches,
    _Drawing.max_pool,
    _Drawing.average_pool,
    _Drawing.norm_pool,
    _Drawing.p_relu,
    _Drawing.affine,
    _Drawing.grouped_conv,
    _Drawing.conv_transpose,
    _Drawing.resize,
    _Drawing.depth_to_space,
    _Drawing.space_to_depth,
    _Drawing.channel_shuffle,
    _Drawing.channel_factor,
    _Drawing.lrn,
    _Drawing.softmax,
    _Drawing.log_softmax,
    _Drawing.group_normalize,
    _Drawing.layer_normalize,
    _Drawing.lp_normalize,
    _Drawing.reduce_channels,
    _Drawing.transpose,
    _Drawing.pad,
    _Drawing.slice,
    _Drawing.concat_map,
    _Drawing.reshape,
    _Drawing.gemm,
)
KINDS: tuple[Kind, ...] = (
    *COMMON_KINDS,
    _Drawing.function,
    _Drawing.function,
    _Drawing.function,
    _Drawing.positive,
    _Drawing.stairs,
    _Drawing.rare_binary,
    _Drawing.broadcast,
    _Drawing.with_constant,
)
