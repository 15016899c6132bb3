"""Operators that move elements, or mix channels or positions, without weights."""

from collections.abc import Sequence

from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.operator import Shape
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.targets.mlu100.operators.convolution import border, fill
from dlfusion.targets.mlu100.operators.scope import NoForm, Scope, Tensor, require_half, require_same_elements

Move = tuple[Shape, tuple[int, int, int, int]]
"""The sizes under which a tensor is seen, and the order of these four axes afterwards."""


def channel_shuffle(scope: Scope, operator: ChannelShuffle) -> None:
    """ShuffleChannel, which counts groups as we do."""
    scope.emit("shuffle_channels", [scope.input], scope.output, settings=[str(operator.groups)])


def depth_to_space(scope: Scope, operator: DepthToSpace) -> None:
    """Reshape and Transpose; each Transpose has only four axes, so that it mostly takes two."""
    batch, channels, height, width = scope.input.shape
    outputs = channels // operator.block**2
    if operator.order is ChannelOrder.DCR:
        moves = _blocks_to_map(batch, (operator.block, operator.block), outputs, height, width)
    else:
        block = operator.block
        # Channels count (output, y, x): first x goes behind the columns, then y behind the rows.
        moves = [
            ((batch * outputs * block, block, height, width), (0, 2, 3, 1)),
            ((batch * outputs, block, height, width * block), (0, 2, 1, 3)),
        ]
    _rearrange(scope, scope.input, moves)


def space_to_depth(scope: Scope, operator: SpaceToDepth) -> None:
    """The way of `depth_to_space` back."""
    if operator.order is not ChannelOrder.DCR:
        raise NoForm(f"its order of channels is {operator.order}; only {ChannelOrder.DCR} is taken apart for CNML")
    batch, channels, height, width = scope.input.shape
    block = operator.block
    rows, columns = height // block, width // block
    if batch == 1:
        moves = [((channels * rows, block, columns, block), (1, 3, 0, 2))]
    else:
        moves = [
            ((batch, channels * rows, block, width), (0, 2, 1, 3)),
            ((batch * block, channels * rows, columns, block), (0, 3, 1, 2)),
        ]
    _rearrange(scope, scope.input, moves)


def resize(scope: Scope, operator: Resize) -> None:
    """Interp where the corners meet; nearest by whole factors as copies side by side, moved into the map."""
    batch, channels, height, width = scope.input.shape
    if operator.mode is not ResizeMode.NEAREST:
        if not operator.is_linear:
            raise NoForm(f"it is {operator.label}; CNML's Interp is linear, without antialias")
        if operator.coordinates is not Coordinates.ALIGN_CORNERS:
            raise NoForm(f"its coordinates are {operator.coordinates}; only align_corners is known of CNML's Interp")
        scope.emit("interpolate", [scope.input], scope.output)
        return
    factors = (operator.height // height, operator.width // width)
    repeats = all(
        taps.lower == tuple(index // factor for index in range(size * factor)) if factor else False
        for taps, factor, size in (
            (operator.row_taps(height), factors[0], height),
            (operator.column_taps(width), factors[1], width),
        )
    )
    if not repeats:
        raise NoForm(
            f"it takes the nearest of {height} x {width} for {operator.height} x {operator.width} elements; CNML has a "
            "form of this only where each element is repeated a whole number of times"
        )
    copies = factors[0] * factors[1]
    if copies == 1:
        scope.emit("copy", [scope.input], scope.output)
        return
    stacked = scope.tensor("copies", (batch, channels * copies, height, width))
    scope.emit("concatenate", [scope.input] * copies, stacked)
    _rearrange(scope, stacked, _blocks_to_map(batch, factors, channels, height, width))


def lrn(scope: Scope, operator: Lrn) -> None:
    """Lrn across channels, of an odd number of them."""
    if operator.size % 2 == 0:
        raise NoForm(f"it sums over {operator.size} channels; of CNML's Lrn only odd sizes are known")
    settings = [str(operator.size), *(repr(float(number)) for number in (operator.alpha, operator.beta, operator.bias))]
    scope.emit("local_response_normalization", [scope.input], scope.output, settings=settings)


def pad(scope: Scope, operator: Pad) -> None:
    """AddPad."""
    if operator.mode is not PadMode.CONSTANT:
        raise NoForm(f"its mode is {operator.mode}; CNML's AddPad adds constants")
    pads = (operator.top, operator.left, operator.bottom, operator.right)
    if min(pads) < 0:
        raise NoForm(f"it crops (top, left, bottom, right: {pads}); CNML's AddPad only adds")
    require_half(operator.value, "the value that it pads with")
    scope.emit("pad", [scope.input], scope.output, settings=[border(pads), *fill(operator.value)])


def reshape(scope: Scope) -> None:
    """Reshape; a copy if the shape stays."""
    scope.emit("copy" if scope.input.shape == scope.output.shape else "reshape", [scope.input], scope.output)


def _blocks_to_map(batch: int, block: tuple[int, int], channels: int, height: int, width: int) -> list[Move]:
    """Channels that count (y in the block, x in the block, channel) become a larger map."""
    if batch == 1:
        return [((block[0], block[1], channels * height, width), (2, 0, 3, 1))]
    return [
        ((batch * block[0], block[1], channels * height, width), (0, 2, 3, 1)),
        ((batch, block[0], channels * height, width * block[1]), (0, 2, 1, 3)),
    ]


def _rearrange(scope: Scope, source: Tensor, moves: Sequence[Move]) -> None:
    """Transposes of `source` under other shapes; the result, under its own shape, is the node's output."""
    current = source
    for index, (view, order) in enumerate(moves):
        require_same_elements(current.shape, view)
        if current.shape != view:
            current = scope.emit("reshape", [current], scope.tensor(f"view_{index}", view))
        shape = (view[order[0]], view[order[1]], view[order[2]], view[order[3]])
        done = index + 1 == len(moves) and shape == scope.output.shape
        target = scope.output if done else scope.tensor(f"moved_{index}", shape)
        axes = f"Axes{{{', '.join(map(str, order))}}}"
        current = scope.emit("transpose", [current], target, settings=[axes])
    if current != scope.output:
        scope.emit("reshape", [current], scope.output)
