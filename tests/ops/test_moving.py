"""Operators that only move data: concat, depth to space and back, shuffle, pad, reshape."""

import numpy as np
import pytest

from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.concat import Concat
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.pad import Pad
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.space_to_depth import SpaceToDepth
from tests.ops.onnx_runtime import run_node, uniform


def test_concat_is_onnx() -> None:
    inputs = [uniform(2, channels, 4, 3, seed=channels) for channels in (3, 1, 17)]
    np.testing.assert_array_equal(Concat().reference(inputs, []), run_node("Concat", inputs, axis=1))
    assert Concat().output_shape([(2, 3, 4, 3), (2, 1, 4, 3), (2, 17, 4, 3)], []) == (2, 21, 4, 3)
    with pytest.raises(ValueError, match=r"\(2, 3, 5, 3\) and \(2, 3, 4, 3\) differ in more than channels"):
        Concat().output_shape([(2, 3, 4, 3), (2, 3, 5, 3)], [])


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
