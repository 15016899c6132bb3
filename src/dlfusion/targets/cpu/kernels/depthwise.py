"""Depthwise convolution: each channel with a filter of its own."""

from math import ceil

import numpy as np

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import RowKernel, lower, vector_count
from dlfusion.targets.cpu.section import Section

_KERNEL_ROWS = 32
"""The tallest kernel: `DEPTHWISE_KERNEL_ROWS` of depthwise.hpp."""

_LARGEST_BLOCK = 7
"""Outputs of one row in one block: the sums of two rows (with AVX2, one) and the weights of as many kernel rows fit the
registers."""

_SQUARES = ((3, 3), (5, 5))
_STRIDES = ((1, 1), (2, 2))
"""Kernels and strides that `depthwise_square` is instantiated for."""

_TAP_CYCLES = {True: 0.5, False: 0.75}
"""For one multiply-add of a vector, by the kernel for squares and by the general one; measured on Sapphire Rapids."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked; none if the convolution is not depthwise."""
    operator = layer.anchor.operator
    if not isinstance(operator, Conv):
        return ()
    weights, bias = network.graph.parameters(layer.anchor)
    if not operator.is_depthwise([weights.shape]) or operator.kernel[0] > _KERNEL_ROWS:
        return ()
    channels = weights.shape[0]
    source, shape = network.shape(layer.reads[0].value), network.shape(layer.output)
    units = ceil(channels / isa.lanes)
    taps = operator.kernel[0] * operator.kernel[1]
    packed = np.zeros((units * isa.lanes, taps), np.float32)
    packed[:channels] = weights.reshape(channels, taps)
    section = Section()
    weights_offset = section.append(np.ascontiguousarray(packed.reshape(units, isa.lanes, taps).swapaxes(1, 2)))
    bias_offset = section.append_channels(bias, isa.lanes)
    top, left, _, _ = operator.pads
    reach = (shape[3] - 1) * operator.strides[1] + (operator.kernel[1] - 1) * operator.dilations[1] - left
    square = operator.kernel in _SQUARES and operator.strides in _STRIDES and operator.dilations == (1, 1)
    block = block_width(shape[3])
    kernel = RowKernel(
        header="depthwise.hpp",
        name="depthwise_square" if square else "depthwise",
        shape_type="DepthwiseShape",
        arguments=(block, operator.kernel[0], operator.strides[0]) if square else (block,),
        fields={
            "kernel_height": operator.kernel[0],
            "kernel_width": operator.kernel[1],
            "stride_height": operator.strides[0],
            "stride_width": operator.strides[1],
            "pad_top": top,
            "pad_left": left,
            "dilation_height": operator.dilations[0],
            "dilation_width": operator.dilations[1],
            "weights": weights_offset,
            "bias": bias_offset,
        },
        input_layouts=(Layout.BLOCKED,),
        input_pads=(Pads(left, max(0, reach - (source[3] - 1))),),
        output_layout=Layout.BLOCKED,
        cycles=vector_count(shape, Layout.BLOCKED, isa) * (1.5 + taps * _TAP_CYCLES[square] * _waste(shape[3], block)),
        section=section,
    )
    return lower(kernel, layer, network, isa)


def block_width(width: int) -> int:
    """How many neighbouring outputs a block computes: as many as registers allow, with little overlap at the end.

    Blocks of less than 4 do not fill the multiply-add pipelines, so they come only where rows are that short.
    """
    sizes = range(min(4, width), min(_LARGEST_BLOCK, width) + 1)
    return min(sizes, key=lambda size: (ceil(width / size) * size, -size))


def _waste(width: int, block: int) -> float:
    """Outputs computed, over outputs needed."""
    return ceil(width / block) * block / width
