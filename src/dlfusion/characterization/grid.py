"""Which layers and chains of layers are synthesized to learn a device: designed grids of three sizes.

The convolutions form a grid over channels and map size, so that operation count and channels vary independently of
each other: the models of the device must be able to tell the two apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from dlfusion.errors import InputError

FEWEST_OPERATIONS = 1_000_000
MOST_OPERATIONS = 2_000_000_000
"""The range of operation counts that the grids of convolutions cover: those of layers in networks for images."""

MOST_CORE_COUNTS = 8
"""Of a device with more core counts than this, the grids `small` and `default` measure a selection."""


class Sort(StrEnum):
    """What a synthesized layer does; the values are the words of labels."""

    CONVOLUTION = "convolution"
    DEPTHWISE = "depthwise"
    GEMM = "fully connected"
    MAX_POOL = "max pool"
    AVERAGE_POOL = "average pool"
    GLOBAL_POOL = "global average pool"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class LayerPoint:
    """A layer to synthesize: square maps, one image; a convolution ends in a Relu.

    Attributes:
        sort: what it does.
        inputs: channels that it reads (of each operand of a sum).
        outputs: channels that it makes.
        size: height and width of its output; a global pool's of its input.
        kernel: height and width of its kernel.
        stride: in both directions; the input's size is the output's times the stride.
        adds: if not 0, the layer adds (before its Relu) what the layer so many places before it in a chain read.
    """

    sort: Sort
    inputs: int
    outputs: int
    size: int
    kernel: int = 1
    stride: int = 1
    adds: int = 0

    @property
    def operations(self) -> int:
        """Arithmetic operations without those of the epilogue; a multiply-accumulate counts as two."""
        elements = self.outputs * self.size * self.size
        match self.sort:
            case Sort.CONVOLUTION | Sort.GEMM:
                return 2 * self.inputs * elements * self.kernel**2
            case Sort.DEPTHWISE:
                return 2 * elements * self.kernel**2
            case Sort.MAX_POOL | Sort.AVERAGE_POOL:
                return elements * self.kernel**2
        return elements

    @property
    def label(self) -> str:
        """A name that two layers share only if they are the same, such as `convolution 3x3 s2 64>128 @56x56`."""
        words = [str(self.sort)]
        if self.sort not in (Sort.GEMM, Sort.GLOBAL_POOL, Sort.SUM):
            words.append(f"{self.kernel}x{self.kernel}")
        if self.stride != 1:
            words.append(f"s{self.stride}")
        words.append(f"{self.inputs}>{self.outputs}" if self.inputs != self.outputs else str(self.inputs))
        words.append(f"@{self.size}x{self.size}")
        if self.adds:
            words.append("with sum")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class ChainPoint:
    """Layers one after the other; the first n of them are fused to a block for each n of `lengths`."""

    layers: tuple[LayerPoint, ...]
    lengths: tuple[int, ...]

    @property
    def operations(self) -> int:
        """Of all layers."""
        return sum(layer.operations for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured: every layer and every chain, on every core count.

    A fused block is cut into steps of each number of `steps` rows, and into whole bands. `every_core_count` says that
    devices with many core counts are measured on all of them.
    """

    name: str
    layers: tuple[LayerPoint, ...]
    chains: tuple[ChainPoint, ...]
    steps: tuple[int, ...]
    every_core_count: bool = False

    def core_counts(self, possible: tuple[int, ...]) -> tuple[int, ...]:
        """Those of the ascending `possible` core counts that are measured.

        All of them; of more than `MOST_CORE_COUNTS`, where the grid is not for every count, those nearest below 1, 2,
        3, 4, 6, 8, 12 and so on, and the largest.
        """
        if self.every_core_count or len(possible) <= MOST_CORE_COUNTS:
            return possible
        wanted = sorted({count for power in range(possible[-1].bit_length()) for count in (1 << power, 3 << power)})
        below = {max((count for count in possible if count <= limit), default=possible[0]) for limit in wanted}
        return tuple(sorted(below | {possible[0], possible[-1]}))


def grid_names() -> tuple[str, ...]:
    """The names of all grids, the smallest first."""
    return ("small", "default", "large")


def find_grid(name: str) -> Grid:
    """The grid of that name.

    Raises:
        InputError: there is none.
    """
    match name:
        case "small":
            return _small()
        case "default":
            return _default()
        case "large":
            return _large()
    raise InputError(f"there is no grid {name!r}; choose one of {', '.join(grid_names())}")


_CHANNELS = (8, 16, 32, 64, 128, 256, 512)
_SIZES = (7, 14, 28, 56, 112, 224)


def _small() -> Grid:
    """A rough picture: seconds on a simulated machine, a minute or two on a CPU of two cores."""
    corners = [conv(16, 56), conv(16, 224), conv(64, 14), conv(64, 56), conv(256, 14), conv(512, 7), conv(128, 56)]
    corners += [conv(c, s, kernel=1) for c, s in ((16, 112), (64, 28), (64, 112), (512, 7), (256, 28))]
    others = [conv(3, 112, 64, kernel=7, stride=2), conv(64, 28, 128, stride=2), conv(32, 28, kernel=5), conv(57, 28)]
    others += [
        _depthwise(64, 56),
        _depthwise(384, 14),
        _depthwise(96, 28, stride=2),
        _gemm(512, 1000),
        _gemm(2048, 2048),
    ]
    others += [
        _pool(Sort.MAX_POOL, 64, 56, 3, 2),
        _pool(Sort.AVERAGE_POOL, 256, 14, 3, 1),
        _global(512, 7),
        _sum(256, 28),
    ]
    chains = [_convolutions(64, 56, 4, (2, 4)), _convolutions(256, 14, 4, (2, 4)), _bottlenecks(256, 28, 1)]
    chains += [_inverted_residuals(24, 56, 1)]
    return Grid("small", tuple(corners + others), tuple(chains), steps=(2, 8))


def _default() -> Grid:
    """At most ten minutes on a CPU of two cores."""
    layers = [
        *_within_range(conv(c, s) for c in _CHANNELS for s in _SIZES),
        *_within_range(conv(c, s, kernel=1) for c in _CHANNELS for s in _SIZES if _CHANNELS.index(c) % 2),
        *_odd_convolutions(),
        *_strided_and_wide(),
        *_convolutions_of_networks(),
        *_light_layers(),
    ]
    chains = (
        _convolutions(16, 224, 8, (2, 4, 8)),
        _convolutions(32, 112, 8, (2, 4, 8)),
        _convolutions(64, 56, 8, (2, 3, 4, 6, 8)),
        _convolutions(128, 28, 8, (2, 4, 8)),
        _convolutions(256, 14, 8, (2, 4, 8)),
        _convolutions(512, 7, 4, (2, 4)),
        _bottlenecks(256, 56, 2),
        _bottlenecks(512, 28, 2),
        _bottlenecks(1024, 14, 2),
        _inverted_residuals(24, 56, 2),
        _inverted_residuals(32, 28, 2),
        _inverted_residuals(96, 14, 2),
        _with_pool(64, 112),
        _with_pool(128, 56),
        *_larger_than_caches(),
    )
    return Grid("default", _distinct(layers), chains, steps=(1, 4, 16))


def _large() -> Grid:
    """For a device that many models will be planned for, and a machine that has the time."""
    smaller = _default()
    channels = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512)
    convolutions = _within_range(
        conv(inputs, size, outputs, kernel=kernel)
        for kernel in (1, 3, 5, 7)
        for size in (7, 14, 28, 56, 112, 224)
        for inputs in channels
        for outputs in (inputs // 4, inputs, inputs * 4)
        if outputs <= 1024 and (kernel < 5 or outputs == inputs)
    )
    depthwise = [
        _depthwise(c, s, kernel=kernel, stride=stride)
        for kernel in (3, 5, 7)
        for stride in (1, 2)
        for c in (32, 64, 96, 144, 192, 384, 576, 960)
        for s in (7, 14, 28, 56, 112)
        if c * s <= 192 * 56
    ]
    strided = _within_range(
        conv(c, s, 2 * c, stride=2, kernel=kernel) for kernel in (1, 3) for c in channels for s in _SIZES
    )
    gemms = [_gemm(9216, 4096), _gemm(4096, 1000), _gemm(1024, 1024), _gemm(256, 4096)]
    chains = [
        _convolutions(c, s, 8, (2, 3, 4, 5, 6, 7, 8)) for c, s in ((16, 112), (32, 56), (64, 28), (96, 56), (128, 14))
    ]
    chains += [_bottlenecks(2048, 7, 2), _inverted_residuals(16, 112, 2), _inverted_residuals(160, 7, 2)]
    layers = [*smaller.layers, *convolutions, *depthwise, *strided, *gemms]
    return Grid("large", _distinct(layers), (*smaller.chains, *chains), steps=(1, 2, 4, 8, 16), every_core_count=True)


def _odd_convolutions() -> Iterator[LayerPoint]:
    """Channels that fill no vector and no array, and the ends of the range of operation counts."""
    yield conv(57, 28)
    yield conv(33, 56)
    yield conv(100, 14)
    yield conv(24, 112)
    yield conv(187, 56)
    yield conv(21, 35, 21, kernel=1)
    yield conv(320, 28)
    yield conv(511, 14, 513, kernel=1)


def _strided_and_wide() -> Iterator[LayerPoint]:
    """Strides of 2, and kernels of 5 and 7."""
    for channels, size in ((16, 112), (32, 56), (64, 28), (128, 14), (256, 7)):
        yield conv(channels, size, 2 * channels, stride=2)
    yield conv(256, 28, 512, kernel=1, stride=2)
    yield conv(1024, 7, 2048, kernel=1, stride=2)
    for channels, size in ((16, 112), (32, 56), (64, 28), (256, 14)):
        yield conv(channels, size, kernel=5)
    for channels, size in ((16, 56), (32, 28), (64, 56), (128, 7)):
        yield conv(channels, size, kernel=7)
    yield conv(48, 28, 96, kernel=5, stride=2)


def _convolutions_of_networks() -> Iterator[LayerPoint]:
    """First layers, and the 1x1 convolutions that widen and narrow."""
    yield conv(3, 112, 64, kernel=7, stride=2)
    yield conv(3, 112, 32, stride=2)
    yield conv(3, 224, 64)
    for inputs, outputs, size in ((24, 144, 56), (144, 24, 56), (64, 256, 56), (256, 64, 56), (512, 128, 28)):
        yield conv(inputs, size, outputs, kernel=1)
    for inputs, outputs, size in ((64, 384, 14), (1024, 256, 14), (160, 960, 7), (320, 1280, 7), (512, 2048, 7)):
        yield conv(inputs, size, outputs, kernel=1)


def _light_layers() -> Iterator[LayerPoint]:
    """Depthwise convolutions, fully connected layers, pools and sums."""
    for channels, size in ((16, 224), (32, 112), (96, 56), (192, 28), (384, 14), (576, 14), (960, 7)):
        yield _depthwise(channels, size)
    for channels, size in ((96, 56), (144, 28), (576, 7)):
        yield _depthwise(channels, size, stride=2)
    yield _depthwise(72, 28, kernel=5)
    yield _depthwise(240, 14, kernel=5, stride=2)
    for inputs, outputs in ((512, 1000), (1280, 1000), (2048, 2048), (4096, 4096)):
        yield _gemm(inputs, outputs)
    for channels, size, kernel, stride in ((64, 112, 2, 2), (64, 56, 3, 2), (256, 28, 2, 2), (192, 28, 3, 1)):
        yield _pool(Sort.MAX_POOL, channels, size, kernel, stride)
    for channels, size, kernel, stride in ((128, 28, 2, 2), (64, 56, 3, 1), (512, 14, 3, 1)):
        yield _pool(Sort.AVERAGE_POOL, channels, size, kernel, stride)
    yield _global(512, 7)
    yield _global(2048, 7)
    for channels, size in ((24, 56), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)):
        yield _sum(channels, size)


def conv(inputs: int, size: int, outputs: int | None = None, kernel: int = 3, stride: int = 1) -> LayerPoint:
    """A convolution; as many outputs as inputs unless told otherwise."""
    return LayerPoint(Sort.CONVOLUTION, inputs, outputs or inputs, size, kernel, stride)


def _depthwise(channels: int, size: int, kernel: int = 3, stride: int = 1) -> LayerPoint:
    return LayerPoint(Sort.DEPTHWISE, channels, channels, size, kernel, stride)


def _gemm(inputs: int, outputs: int) -> LayerPoint:
    return LayerPoint(Sort.GEMM, inputs, outputs, 1)


def _pool(sort: Sort, channels: int, size: int, kernel: int, stride: int) -> LayerPoint:
    return LayerPoint(sort, channels, channels, size, kernel, stride)


def _global(channels: int, size: int) -> LayerPoint:
    return LayerPoint(Sort.GLOBAL_POOL, channels, channels, size)


def _sum(channels: int, size: int) -> LayerPoint:
    return LayerPoint(Sort.SUM, channels, channels, size)


def _convolutions(channels: int, size: int, count: int, lengths: tuple[int, ...]) -> ChainPoint:
    """3x3 convolutions of one size, as in VGG."""
    return ChainPoint((conv(channels, size),) * count, lengths)


def _bottlenecks(channels: int, size: int, count: int) -> ChainPoint:
    """Units of 1x1, 3x3 and 1x1 convolutions around which the input is added, as in ResNet-50."""
    inner = channels // 4
    narrow, across = conv(channels, size, inner, kernel=1), conv(inner, size)
    wide = replace(conv(inner, size, channels, kernel=1), adds=2)
    return ChainPoint((narrow, across, wide) * count, (2, *(3 * unit for unit in range(1, count + 1))))


def _inverted_residuals(channels: int, size: int, count: int) -> ChainPoint:
    """Units that widen six times, convolve depthwise and narrow, around which the input is added, as in MobileNetV2."""
    inner = 6 * channels
    wide, across = conv(channels, size, inner, kernel=1), _depthwise(inner, size)
    narrow = replace(conv(inner, size, channels, kernel=1), adds=2)
    return ChainPoint((wide, across, narrow) * count, (2, *(3 * unit for unit in range(1, count + 1))))


def _with_pool(channels: int, size: int) -> ChainPoint:
    """Two 3x3 convolutions and a maximum pool of 2x2, as in VGG."""
    return ChainPoint((conv(channels, size),) * 2 + (_pool(Sort.MAX_POOL, channels, size // 2, 2, 2),), (2, 3))


def _larger_than_caches() -> Iterator[ChainPoint]:
    """Maps of 17 to 26 MB, which go to memory between layers that are not fused."""
    yield _convolutions(16, 512, 3, (2, 3))
    yield _convolutions(64, 320, 3, (2, 3))
    yield _inverted_residuals(16, 224, 1)


def _within_range(points: Iterator[LayerPoint]) -> Iterator[LayerPoint]:
    """Those whose operation count lies in the range of the grids."""
    return (point for point in points if FEWEST_OPERATIONS <= point.operations <= MOST_OPERATIONS)


def _distinct(points: list[LayerPoint]) -> tuple[LayerPoint, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(points))
