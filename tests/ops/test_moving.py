"""Operators that only move data: concat, depth to space and back, shuffle, pad, reshape."""

import numpy as np
import pytest

from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.slice import Slice, Triple
from dlfusion.ops.space_to_depth import SpaceToDepth
from tests.ops.onnx_runtime import run_node, uniform


def test_concat_is_onnx() -> None:
    inputs = [uniform(2, channels, 4, 3, seed=channels) for channels in (3, 1, 17)]
    np.testing.assert_array_equal(Concat().reference(inputs, []), run_node("Concat", inputs, axis=1))
    assert Concat().output_shape([(2, 3, 4, 3), (2, 1, 4, 3), (2, 17, 4, 3)], []) == (2, 21, 4, 3)
    with pytest.raises(ValueError, match=r"\(2, 3, 5, 3\) and \(2, 3, 4, 3\) differ in more than channels"):
        Concat().output_shape([(2, 3, 4, 3), (2, 3, 5, 3)], [])


@pytest.mark.parametrize("axis", [2, 3])
def test_concat_of_maps_is_onnx(axis: int) -> None:
    shapes = [(2, 3, size, 5) if axis == 2 else (2, 3, 5, size) for size in (4, 1, 7)]
    inputs = [uniform(*shape, seed=index) for index, shape in enumerate(shapes)]
    operator = ConcatMap(axis)
    expected = run_node("Concat", inputs, axis=axis)
    np.testing.assert_array_equal(operator.reference(inputs, []), expected)
    assert operator.output_shape(shapes, []) == expected.shape
    with pytest.raises(ValueError, match=rf"differ in more than axis {axis}"):
        operator.output_shape([*shapes, (2, 4, 5, 5)], [])
    with pytest.raises(ValueError, match="its axis is 1"):
        ConcatMap(1)


@pytest.mark.parametrize(
    ("starts", "sizes", "steps"),
    [((0, 0, 0), (3, 5, 6), (1, 1, 1)), ((1, 2, 0), (2, 2, 3), (1, 2, 2)), ((2, 4, 5), (3, 2, 6), (-1, -3, -1))],
)
def test_slice_is_onnx(starts: Triple, sizes: Triple, steps: Triple) -> None:
    x = uniform(2, 3, 5, 6)
    operator = Slice(starts, sizes, steps)
    # One past the last, in the direction of the step; -100 is what ONNX understands as before the first.
    ends = [last + step if last + step >= 0 else -100 for last, step in zip(operator.lasts, steps, strict=True)]
    constants = [np.array(numbers) for numbers in (starts, ends, (1, 2, 3), steps)]
    np.testing.assert_array_equal(operator.reference([x], []), run_node("Slice", [x], constants))
    assert operator.output_shape([(2, 3, 5, 6)], []) == (2, *sizes)


def test_slices_of_what_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reaches past an input of \(1, 3, 4, 4\)"):
        Slice((0, 2, 0), (3, 2, 4), (1, 2, 1)).output_shape([(1, 3, 4, 4)], [])
    with pytest.raises(ValueError, match="sizes of at least 1 and steps other than 0"):
        Slice((0, 0, 0), (1, 0, 1))
    assert Slice((0, 2, 0), (3, 2, 4), (1, 2, 1)).label == "Slice 0..2,2..4,0..3 s1,2,1"


@pytest.mark.parametrize("order", ChannelOrder)
@pytest.mark.parametrize("block", [1, 2, 3])
def test_depth_to_space_is_onnx(order: ChannelOrder, block: int) -> None:
    x = uniform(2, 36, 3, 5)
    operator = DepthToSpace(block, order)
    expected = run_node("DepthToSpace", [x], blocksize=block, mode=str(order))
    np.testing.assert_array_equal(operator.reference([x], []), expected)
    assert operator.output_shape([(2, 36, 3, 5)], []) == expected.shape


def test_space_to_depth_is_onnx_and_undoes_depth_to_space() -> None:
    x = uniform(2, 4, 6, 10)
    result = SpaceToDepth(2).reference([x], [])
    np.testing.assert_array_equal(result, run_node("SpaceToDepth", [x], blocksize=2))
    np.testing.assert_array_equal(DepthToSpace(2).reference([result], []), x)
    crd = SpaceToDepth(2, ChannelOrder.CRD)
    np.testing.assert_array_equal(DepthToSpace(2, ChannelOrder.CRD).reference([crd.reference([x], [])], []), x)
    assert crd.label == "SpaceToDepth 2 CRD"
    with pytest.raises(ValueError, match="map of 6 x 10 does not divide into blocks of 4"):
        SpaceToDepth(4).output_shape([(2, 4, 6, 10)], [])
    with pytest.raises(ValueError, match="6 channels do not divide into blocks of 4"):
        DepthToSpace(2).output_shape([(1, 6, 3, 3)], [])


def test_channel_shuffle_moves_the_channels_it_says() -> None:
    x = uniform(2, 12, 3, 5)
    operator = ChannelShuffle(3)
    result = operator.reference([x], [])
    for channel in range(12):
        np.testing.assert_array_equal(result[:, channel], x[:, channel % 3 * 4 + channel // 3])
    # ShuffleNet's form of it: reshape to groups, transpose, reshape back.
    split = run_node("Transpose", [x.reshape(2, 3, 4, 3, 5)], perm=[0, 2, 1, 3, 4])
    np.testing.assert_array_equal(result, split.reshape(x.shape))
    with pytest.raises(ValueError, match="12 channels do not divide into 5 groups"):
        ChannelShuffle(5).output_shape([(2, 12, 3, 5)], [])


@pytest.mark.parametrize("pads", [(1, 2, 0, 3), (0, 0, 0, 0), (-1, 2, 3, -2), (-2, -1, -1, -1)])
def test_pad_is_onnx(pads: tuple[int, int, int, int]) -> None:
    x = uniform(2, 3, 5, 6)
    top, left, bottom, right = pads
    constants = [np.array([0, 0, top, left, 0, 0, bottom, right]), np.array(0.5, np.float32)]
    expected = run_node("Pad", [x], constants, mode="constant")
    operator = Pad(top, left, bottom, right, 0.5)
    np.testing.assert_array_equal(operator.reference([x], []), expected)
    assert operator.output_shape([(2, 3, 5, 6)], []) == expected.shape


@pytest.mark.parametrize("mode", [PadMode.REFLECT, PadMode.EDGE, PadMode.WRAP])
@pytest.mark.parametrize("pads", [(1, 2, 0, 3), (4, 5, 4, 5), (-1, 2, 3, -2), (-2, -1, -1, -1)])
def test_other_modes_of_pad_are_onnx(mode: PadMode, pads: tuple[int, int, int, int]) -> None:
    x = uniform(2, 3, 5, 6)
    top, left, bottom, right = pads
    amounts = np.array([0, 0, top, left, 0, 0, bottom, right])
    expected = run_node("Pad", [x], [amounts], mode=str(mode), opset=19)
    operator = Pad(top, left, bottom, right, mode=mode)
    assert operator.output_shape([(2, 3, 5, 6)], []) == expected.shape
    np.testing.assert_array_equal(operator.reference([x], []), expected)


def test_padding_by_more_than_there_is_is_refused() -> None:
    Pad(0, 0, 9, 0, mode=PadMode.EDGE).output_shape([(1, 1, 2, 3)], [])
    with pytest.raises(ValueError, match="padding by 0 and 2 with reflect needs more than 2 elements"):
        Pad(0, 0, 2, 0, mode=PadMode.REFLECT).output_shape([(1, 1, 2, 3)], [])
    with pytest.raises(ValueError, match="padding by 4 and 0 with wrap needs more than 3 elements"):
        Pad(0, 4, 0, 0, mode=PadMode.WRAP).output_shape([(1, 1, 2, 3)], [])
    assert not Pad(1, 0, 0, 0, mode=PadMode.WRAP).streams
    assert Pad(0, 1, 0, 0, mode=PadMode.WRAP).streams
    assert Pad(1, 1, 1, 1, mode=PadMode.EDGE).label == "Pad 1,1,1,1 edge"


def test_pad_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves 0 x 3 of a map of 2 x 3"):
        Pad(-1, 0, -1, 0).output_shape([(1, 1, 2, 3)], [])


def test_reshape_keeps_the_order() -> None:
    x = uniform(2, 6, 2, 3)
    operator = Reshape((2, 36, 1, 1))
    np.testing.assert_array_equal(operator.reference([x], []).ravel(), x.ravel())
    assert not operator.streams
    assert not operator.splits_channels
    with pytest.raises(ValueError, match=r"\(1, 6, 2, 3\) has 36 elements, \(2, 36, 1, 1\) has 72"):
        operator.output_shape([(1, 6, 2, 3)], [])


def test_moving_data_costs_no_operations() -> None:
    shape = (1, 4, 6, 6)
    for operator in (DepthToSpace(2), SpaceToDepth(2), ChannelShuffle(2), Pad(1, 1, 1, 1), Reshape((1, 144, 1, 1))):
        assert operator.operations([shape], []) == 0
    assert Concat().operations([shape, shape], []) == 0
