"""Depthwise convolution: each channel with a filter of its own, or a few."""

from math import ceil

import numpy as np

from dlfusion.graph.graph import Array
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

_MOST_FILTERS = 4
"""For each channel: of more, registers hold the sums of few outputs, and dense kernels are as fast."""

_INTERLEAVE_CYCLES = {True: 3.0, False: 24.0}
"""For one vector of outputs, beside its taps: of two filters in registers, of more through memory."""

_TAP_CYCLES = {True: 0.5, False: 0.75}
"""For one multiply-add of a vector, by the kernel for squares and by the general one; measured on Sapphire Rapids."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked; none if the convolution is not depthwise, or has too many filters for each channel."""
    operator = layer.anchor.operator
    if not isinstance(operator, Conv):
        return ()
    weights, bias = network.graph.parameters(layer.anchor)
    source, shape = network.shape(layer.reads[0].value), network.shape(layer.output)
    filters = shape[1] // source[1]
    is_depthwise = operator.groups == source[1] > 1 and filters <= _MOST_FILTERS
    if not is_depthwise or operator.kernel[0] > _KERNEL_ROWS:
        return ()
    taps = operator.kernel[0] * operator.kernel[1]
    section = Section()
    weights_offset = section.append(_by_unit(weights.reshape(source[1], filters, taps), isa))
    bias_offset = section.append(_by_unit(bias.reshape(source[1], filters, 1), isa))
    top, left, _, _ = operator.pads
    reach = (shape[3] - 1) * operator.strides[1] + (operator.kernel[1] - 1) * operator.dilations[1] - left
    square = operator.kernel in _SQUARES and operator.strides in _STRIDES and operator.dilations == (1, 1)
    block = block_width(shape[3], _largest_block(filters, isa))
    tap_cycles, vector_cycles = _TAP_CYCLES[square and filters == 1], 1.5
    arguments: tuple[int, ...] = (block, operator.kernel[0], operator.strides[0]) if square else (block,)
    name = "depthwise_square" if square else "depthwise"
    if filters > 1:
        name, arguments, vector_cycles = "depthwise_multiplied", (block, filters), _INTERLEAVE_CYCLES[filters == 2]
    kernel = RowKernel(
        header="depthwise.hpp" if filters == 1 else "depthwise_multiplied.hpp",
        name=name,
        shape_type="DepthwiseShape",
        arguments=arguments,
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
        cycles=vector_count(shape, Layout.BLOCKED, isa) * (vector_cycles + taps * tap_cycles * _waste(shape[3], block)),
        section=section,
    )
    return lower(kernel, layer, network, isa)


def _by_unit(array: Array, isa: Isa) -> Array:
    """Numbers [channel][filter][tap] as [channel unit][tap][filter][lane], zero where there is no channel."""
    channels, filters, taps = array.shape
    units = ceil(channels / isa.lanes)
    packed = np.zeros((units * isa.lanes, filters, taps), np.float32)
    packed[:channels] = array
    return np.ascontiguousarray(packed.reshape(units, isa.lanes, filters, taps).transpose(0, 3, 2, 1))


def _largest_block(filters: int, isa: Isa) -> int:
    """How many outputs of each filter have their sums in registers, with the weights of a tap and an input."""
    return max(1, min(_LARGEST_BLOCK, (isa.vector_registers - 1) // filters - 1))


def block_width(width: int, largest: int = _LARGEST_BLOCK) -> int:
    """How many neighbouring outputs a block computes: `largest` as registers allow, with little overlap at the end.

    Blocks of less than 4 do not fill the multiply-add pipelines, so they come only where rows are that short.
    """
    sizes = range(min(4, width, largest), min(largest, width) + 1)
    return min(sizes, key=lambda size: (ceil(width / size) * size, -size))


def _waste(width: int, block: int) -> float:
    """Outputs computed, over outputs needed."""
    return ceil(width / block) * block / width
