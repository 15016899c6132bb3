"""The kernel library's Python side: one file per kernel, each offering ways to run a layer."""

from collections.abc import Callable

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.concat import Concat
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.depth_to_space import DepthToSpace
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.operator import Operator
from dlfusion.ops.pad import Pad
from dlfusion.ops.reduce_channels import ReduceChannels
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.resize import Resize
from dlfusion.ops.slice import Slice
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.transpose import Transpose
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels import (
    concat,
    concat_map,
    conv_1x1,
    conv_blocked,
    conv_few_outputs,
    conv_first,
    conv_planar,
    conv_transpose,
    depthwise,
    gemm,
    group_normalize,
    lrn,
    over_channels,
    pad,
    pointwise,
    pool,
    rearrange,
    reshape,
    resize,
    slicing,
    softmax,
    transpose,
    winograd,
)

Candidates = Callable[[Layer, Network, Isa], tuple[Lowered, ...]]


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """All ways that the kernel library offers to run `layer`; empty if there is none."""
    operator = layer.anchor.operator
    kernels = (pointwise.candidates,) if operator.pointwise else KERNELS.get(type(operator), ())
    return tuple(way for kernel in kernels for way in kernel(layer, network, isa))


KERNELS: dict[type[Operator], tuple[Candidates, ...]] = {
    AveragePool: (pool.candidates,),
    ChannelShuffle: (rearrange.candidates,),
    Concat: (concat.candidates,),
    ConcatMap: (concat_map.candidates,),
    Conv: (
        depthwise.candidates,
        conv_first.candidates,
        conv_few_outputs.candidates,
        conv_planar.candidates,
        conv_1x1.candidates,
        conv_blocked.candidates,
        winograd.candidates,
    ),
    ConvTranspose: (conv_transpose.candidates,),
    DepthToSpace: (rearrange.candidates,),
    Gemm: (gemm.candidates,),
    GlobalAveragePool: (pool.candidates,),
    GlobalLpPool: (pool.candidates,),
    GlobalMaxPool: (pool.candidates,),
    GroupNormalize: (group_normalize.candidates,),
    LayerNormalize: (over_channels.candidates,),
    LogSoftmax: (over_channels.candidates,),
    LpNormalize: (over_channels.candidates,),
    LpPool: (pool.candidates,),
    Lrn: (lrn.candidates,),
    MaxPool: (pool.candidates,),
    Pad: (pad.candidates,),
    ReduceChannels: (over_channels.candidates,),
    Reshape: (reshape.candidates,),
    Resize: (resize.candidates,),
    Slice: (slicing.candidates,),
    Softmax: (softmax.candidates,),
    SpaceToDepth: (rearrange.candidates,),
    Transpose: (transpose.candidates,),
}
"""Which kernels run an anchor operator, apart from pointwise ones, which all have the same kernel."""
