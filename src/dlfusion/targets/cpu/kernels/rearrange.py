"""Operators that move elements between channels and the map: depth to space, space to depth, shuffled channels."""

from functools import partial
from math import prod

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, in_all_layouts, vector_count

_GATHER_CYCLES = 1.4
"""For each element of a vector that is collected lane by lane."""

_SCATTER_CYCLES = 2.0
"""For each element of a planar row that is collected one by one."""

_INTERLEAVE_CYCLES = 0.6
_RUN_CYCLES = 1.4
"""For each element of a planar row that two planar rows make, or short runs of a blocked row's channels."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Every pair of layouts; for shuffled channels the same on both sides."""
    return in_all_layouts(layer, network, isa, partial(_kernel, layer, network, isa))


def _cycles(operator: Operator, shape: Shape, source: Layout, target: Layout, isa: Isa) -> float:
    """The estimate; depth to space has two fast ways to planar rows (`depth_to_space_fast`)."""
    if target is Layout.BLOCKED:
        return _GATHER_CYCLES * isa.lanes * vector_count(shape, target, isa)
    match operator:
        case DepthToSpace(block=2) if source is Layout.PLANAR:
            return _INTERLEAVE_CYCLES * prod(shape)
        case DepthToSpace(block=2 | 3 | 4, order=order) if source is Layout.BLOCKED:
            in_runs = order is ChannelOrder.CRD or shape[1] == 1
            return (_RUN_CYCLES if in_runs else _SCATTER_CYCLES) * prod(shape)
        case _:
            return _SCATTER_CYCLES * prod(shape)


def _kernel(layer: Layer, network: Network, isa: Isa, source: Layout, target: Layout) -> RowKernel | None:
    shape = network.shape(layer.output)
    arguments: tuple[str, ...] = (LAYOUT_TYPES[source], LAYOUT_TYPES[target])
    match layer.anchor.operator:
        case DepthToSpace(block=block, order=order):
            name, shape_type = "depth_to_space", "DepthToSpaceShape"
            by_place = order is ChannelOrder.DCR
            channel_step, place_step = (1, shape[1]) if by_place else (block * block, 1)
            fields = {"block": block, "channel_step": channel_step, "place_step": place_step}
        case SpaceToDepth(block=block, order=order):
            name, shape_type = "space_to_depth", "SpaceToDepthShape"
            by_place = order is ChannelOrder.DCR
            channel_step, place_step = (1, shape[1] // block**2) if by_place else (block * block, 1)
            fields = {"block": block, "channel_step": channel_step, "place_step": place_step}
        case ChannelShuffle(groups=groups) if source is target:
            name, shape_type, fields = "channel_shuffle", "ChannelShuffleShape", {"groups": groups}
            arguments = arguments[:1]
        case _:
            return None
    return RowKernel(
        header="rearrange.hpp",
        name=name,
        shape_type=shape_type,
        arguments=arguments,
        fields=fields,
        input_layouts=(source,),
        input_pads=(Pads(),),
        output_layout=target,
        cycles=_cycles(layer.anchor.operator, shape, source, target, isa),
    )
