"""Windows against brute force: poison one input row with NaN and see which output rows change."""

import numpy as np
import pytest

from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.depth_to_space import DepthToSpace
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.slice import Slice
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.tanh import Tanh
from dlfusion.ops.window import Window
from tests.ops.onnx_runtime import uniform

MAP: Shape = (1, 4, 12, 14)

CASES: list[tuple[Operator, list[Shape], list[tuple[int, ...]]]] = [
    (Conv((3, 3), pads=(1, 1, 1, 1)), [MAP], [(2, 4, 3, 3), (2,)]),
    (Conv((5, 2), (3, 2), (2, 0, 1, 1)), [MAP], [(2, 4, 5, 2), (2,)]),
    (Conv((1, 1), (2, 2)), [MAP], [(2, 4, 1, 1), (2,)]),
    (Conv((3, 3), (1, 2), (2, 0, 2, 3), (2, 3)), [MAP], [(2, 4, 3, 3), (2,)]),
    (Conv((3, 3), (2, 2), (1, 1, 1, 1), groups=4), [MAP], [(4, 1, 3, 3), (4,)]),
    (ConvTranspose((2, 3), (2, 2)), [MAP], [(4, 2, 2, 3), (2,)]),
    (ConvTranspose((9, 9), (3, 3), (4, 4, 4, 4), output_padding=(2, 2)), [MAP], [(4, 1, 9, 9), (1,)]),
    (ConvTranspose((3, 3), (1, 1), (1, 1, 0, 2)), [MAP], [(4, 2, 3, 3), (2,)]),
    (ConvTranspose((3, 3), (2, 3), (1, 1, 0, 2), (2, 2)), [MAP], [(4, 2, 3, 3), (2,)]),
    (ConvTranspose((1, 2), (3, 4)), [MAP], [(4, 2, 1, 2), (2,)]),
    (MaxPool((3, 2), (2, 2), (1, 0, 1, 0)), [MAP], []),
    (MaxPool((3, 3), (2, 1), (0, 2, 1, 2), (2, 2)), [MAP], []),
    (AveragePool((3, 3), (2, 3), (1, 1, 1, 1), (1, 1)), [MAP], []),
    (AveragePool((3, 2), (2, 1), (1, 0, 2, 1), dilations=(2, 3)), [MAP], []),
    (LpPool((3, 2), (2, 2), (1, 0, 1, 0), (2, 1)), [MAP], []),
    (GlobalAveragePool(), [MAP], []),
    (GlobalMaxPool(), [MAP], []),
    (GlobalLpPool(), [MAP], []),
    (Gemm(), [MAP], [(3, *MAP[1:]), (3,)]),
    (Concat(), [MAP, (1, 3, 12, 14)], []),
    (ConcatMap(2), [MAP, (1, 4, 3, 14), MAP], []),
    (ConcatMap(3), [MAP, (1, 4, 12, 5), MAP], []),
    (Resize(24, 28), [MAP], []),
    (Resize(7, 31, ResizeMode.LINEAR), [MAP], []),
    (Resize(30, 5, ResizeMode.LINEAR, Coordinates.ALIGN_CORNERS), [MAP], []),
    (Resize(30, 5, ResizeMode.CUBIC), [MAP], []),
    (Resize(5, 9, ResizeMode.LINEAR, antialias=True), [MAP], []),
    (Resize(9, 5, ResizeMode.CUBIC, Coordinates.CROP, region=((0.2, 0.6), (0.3, 1.0))), [MAP], []),
    (DepthToSpace(2), [MAP], []),
    (SpaceToDepth(2), [MAP], []),
    (ChannelShuffle(2), [MAP], []),
    (Lrn(3), [MAP], []),
    (Softmax(), [MAP], []),
    (Pad(2, 1, 0, 3), [MAP], []),
    (Pad(-2, 1, 3, -3), [MAP], []),
    (Pad(2, 3, 4, 1, mode=PadMode.REFLECT), [MAP], []),
    (Pad(2, -3, -4, 11, mode=PadMode.EDGE), [MAP], []),
    (Pad(0, 2, -1, 3, mode=PadMode.WRAP), [MAP], []),
    (Pad(2, 0, 1, 0, mode=PadMode.WRAP), [MAP], []),
    (Slice((1, 2, 3), (2, 4, 5), (1, 2, 2)), [MAP], []),
    (Slice((3, 0, 13), (4, 12, 3), (-1, 1, -4)), [MAP], []),
    (Slice((0, 11, 0), (4, 3, 14), (1, -2, 1)), [MAP], []),
    (Reshape((1, 4 * 12 * 14, 1, 1)), [MAP], []),
    (Clip(), [MAP], []),
    (LeakyRelu(), [MAP], []),
    (PRelu(), [MAP], [(4,)]),
    (Affine(), [MAP], [(4,), (4,)]),
    (Sigmoid(), [MAP], []),
    (Tanh(), [MAP], []),
    (HardSigmoid(), [MAP], []),
    (HardSwish(), [MAP], []),
    (Add(), [MAP, MAP], []),
    (Mul(), [MAP, MAP], []),
    (Mul(), [MAP, (1, 4, 1, 1)], []),
]


def rows_read(
    operator: Operator, shapes: list[Shape], parameters: list[tuple[int, ...]], operand: int, axis: int
) -> list[set[int]]:
    """For each output row (axis 2) or column (axis 3), the rows or columns of one activation that it depends on."""
    arrays = [uniform(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    constants = [uniform(*shape, seed=10 + seed) for seed, shape in enumerate(parameters)]
    read: list[set[int]] = [set() for _ in range(operator.output_shape(shapes, parameters)[axis])]
    for index in range(shapes[operand][axis]):
        poisoned = list(arrays)
        poisoned[operand] = arrays[operand].copy()
        poisoned[operand][(slice(None),) * axis + (index,)] = np.nan
        changed = np.isnan(operator.reference(poisoned, constants)).any(axis=(0, 1, 5 - axis))
        for row in np.flatnonzero(changed):
            read[row].add(index)
    return read


def is_tight(operator: Operator) -> bool:
    """False where a straight line cannot describe exactly what is read."""
    dilated = isinstance(operator, ConvTranspose) and operator.dilations != (1, 1)
    turned = isinstance(operator, Slice) and min(operator.steps) < 0
    mirrored = isinstance(operator, Pad) and operator.mode is not PadMode.CONSTANT
    return not (dilated or turned or mirrored or isinstance(operator, Resize))


@pytest.mark.parametrize("axis", [2, 3], ids=["rows", "columns"])
@pytest.mark.parametrize(("operator", "shapes", "parameters"), CASES, ids=lambda value: str(value)[:60])
def test_windows_are_what_the_reference_reads(
    operator: Operator, shapes: list[Shape], parameters: list[tuple[int, ...]], axis: int
) -> None:
    windows = operator.row_windows(shapes) if axis == 2 else operator.column_windows(shapes)
    assert len(windows) == len(shapes)
    for operand, window in enumerate(windows):
        size = shapes[operand][axis]
        for row, read in enumerate(rows_read(operator, shapes, parameters, operand, axis)):
            stated = set(range(max(0, window.first(row)), min(size, window.end(row + 1))))
            assert read <= stated, f"row {row} reads {read}, the window says {stated}"
            if is_tight(operator) and stated:
                assert min(read) == min(stated) or min(stated) == 0
                assert max(read) == max(stated) or max(stated) == size - 1


def test_a_range_of_rows_reads_from_the_first_of_its_first_to_the_end_of_its_last() -> None:
    window = Window(2, -1, 1)
    assert window.first(3) == 5
    assert window.end(6) == 2 * 5 + 1 + 1
