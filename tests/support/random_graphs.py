"""Hypothesis strategies for small random graphs: branches, odd sizes, every operator, several inputs and outputs.

Weights are seeded and scaled by their fan-in, so that values stay of order one however the graph is drawn.
"""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

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
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.div import Div
from dlfusion.ops.elu import Elu
from dlfusion.ops.erf import Erf
from dlfusion.ops.exp import Exp
from dlfusion.ops.floor import Floor
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.log import Log
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max import Max
from dlfusion.ops.min import Min
from dlfusion.ops.mish import Mish
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.pow import Pow
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.selu import Selu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.slice import Slice
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.softsign import Softsign
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.ops.thresholded_relu import ThresholdedRelu
from dlfusion.ops.transpose import Transpose
from tests.support.random_drawing import MAXIMUM_CHANNELS, MAXIMUM_MAP_SIZE, Array, Drawing, divisors

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


class _Drawing(Drawing):
    """With all other operators."""

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
        self.add(ChannelShuffle(self.draw(st.sampled_from(divisors(self.shape(source)[1])))), source)

    def lrn(self, source: str) -> None:
        self.add(Lrn(self.draw(st.sampled_from((5, 1, 2, 3))), alpha=0.1), source)

    def softmax(self, source: str) -> None:
        self.add(Softmax(), source)

    def log_softmax(self, source: str) -> None:
        self.add(LogSoftmax(), source)

    # What normalizations divide by is kept far from zero, where rounding errors would grow.
    def group_normalize(self, source: str) -> None:
        groups = self.draw(st.sampled_from(divisors(self.shape(source)[1])[::-1]))
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
