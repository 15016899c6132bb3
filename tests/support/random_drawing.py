"""A random graph in the making, and the operators that move windows over a map: convolutions, pools, resizes."""

import math
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlfusion.graph.builder import GraphBuilder
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.resize import WHOLE, Coordinates, Resize, ResizeMode, Rounding
from dlfusion.ops.spatial import Padding, Pair, ceil_mode_excess, extent

Array = NDArray[np.float32]

CHANNELS = (8, 16, 1, 3, 12, 17, 24, 32, 33, 48)
MAPS = ((8, 8), (7, 7), (5, 5), (13, 13), (17, 17), (31, 9), (9, 31), (16, 24), (33, 5), (12, 33), (1, 29))
MAXIMUM_MAP_SIZE = 40
MAXIMUM_CHANNELS = 100


class Drawing:
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

    def step(self, kinds: Sequence[Callable[[Self, str], None]]) -> None:
        """Add an operator of a random kind, mostly to the last value, so that chains grow long."""
        last = self.draw(st.integers(0, 4)) < 4
        source = self.values[-1] if last else self.draw(st.sampled_from(self.values), label="source")
        kind = self.draw(st.sampled_from(kinds), label="kind")
        kind(self, source)

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
        groups = self.draw(st.sampled_from(divisors(channels)))
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
        groups = self.draw(st.sampled_from((1, 1, divisors(shape[1])[-1])))
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


def divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
