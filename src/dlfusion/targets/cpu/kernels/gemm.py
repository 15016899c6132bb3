"""Fully connected layers: convolutions whose kernel is the whole map, with one output pixel.

Weights are stored in the order in which the map lies in memory, so that they stream once; nothing is flattened.
"""

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.ops.gemm import Gemm
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels import conv_blocked, conv_first


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """From a blocked tensor, and from a planar one of few channels."""
    if not isinstance(layer.anchor.operator, Gemm):
        return ()
    _, _, height, width = network.shape(layer.reads[0].value)
    conv = Conv((height, width))
    first = conv_first.lower(layer, network, conv, isa)
    return (*conv_blocked.ways(layer, network, conv, isa), *([] if first is None else [first]))
