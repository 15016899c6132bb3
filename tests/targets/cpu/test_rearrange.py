"""Elements that move between channels and the map arrive where ONNX says."""

import numpy as np

from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.targets.cpu.kernels.rearrange import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all


def test_depth_to_space() -> None:
    """Both orders, blocks of 2 and 3, one and many output channels, between all layouts."""
    networks = [
        single_layer(DepthToSpace(2, order), [shape])
        for order in ChannelOrder
        for shape in ((1, 4, 3, 33), (1, 80, 4, 7), (1, 12, 3, 3))
    ]
    # Channels that lie side by side as the output needs them, within a vector and across two.
    networks += [single_layer(DepthToSpace(block), [(1, block**2, 2, 19)]) for block in (1, 3, 4, 5)]
    networks.append(single_layer(DepthToSpace(3, ChannelOrder.CRD), [(1, 18, 3, 9)]))
    networks.append(single_layer(DepthToSpace(3), [(1, 27, 3, 5)], epilogue=[Step(Clip(0.0, 1.0))]))
    check_all(networks, candidates, least=4)


def test_space_to_depth() -> None:
    """Both orders, blocks of 2 and 3, with a per-channel epilogue."""
    slopes = np.linspace(-1, 1, 20).astype(np.float32)
    networks = [
        single_layer(SpaceToDepth(2), [(1, 3, 8, 66)]),
        single_layer(SpaceToDepth(3), [(1, 20, 6, 9)]),
        single_layer(SpaceToDepth(2, ChannelOrder.CRD), [(1, 3, 8, 18)]),
        single_layer(SpaceToDepth(3, ChannelOrder.CRD), [(1, 20, 6, 9)]),
        single_layer(SpaceToDepth(2), [(1, 5, 6, 14)], epilogue=[Step(PRelu(), (slopes,))]),
    ]
    check_all(networks, candidates, least=4)


def test_channel_shuffle() -> None:
    """Groups that do and do not divide vectors."""
    networks = [
        single_layer(ChannelShuffle(groups), [(1, channels, 4, width)])
        for groups, channels, width in ((3, 24, 7), (4, 272, 5), (2, 116, 33), (5, 5, 16))
    ]
    networks.append(single_layer(ChannelShuffle(2), [(1, 20, 3, 9)], epilogue=[Step(Clip(0.0, 1.0))]))
    check_all(networks, candidates, least=2)
