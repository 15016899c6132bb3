"""Direct convolution from a blocked tensor into a blocked tensor."""

import math
from functools import partial

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.bfloat16 import largest_magnitude, storable, store
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue
from dlfusion.targets.cpu.kernels.packing import Channels, dense_weights
from dlfusion.targets.cpu.kernels.register_blocks import choose, row_cycles
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.section import Section, initializer

MAXIMUM_KERNEL_ROWS = 256
"""As in conv_blocked.hpp."""

NARROW_OUTPUTS = 128
"""Maps of at most so many pixels use a weight so seldom that reading it as bfloat16 gains more than widening it costs.

Measured on Sapphire Rapids with cold weights: fully connected layers 1.6 to 2.1 times faster, 3x3 of 512 channels on
7x7 1.2 times, 1x1 on 7x7 1.05 to 1.2 times; on 14x14 equal, on larger maps 2 to 4 percent slower.
"""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """One way for every convolution, whatever its groups, strides and dilations."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv):
        return ()
    lowered = lower(layer, network, conv, isa)
    return () if lowered is None else (lowered,)


def input_pads(conv: Conv, width: int, output_width: int) -> Pads:
    """Columns of zeros that a convolution reads before and after its input rows."""
    last = (output_width - 1) * conv.strides[1] + (conv.kernel[1] - 1) * conv.dilations[1] - conv.pads[1]
    return Pads(conv.pads[1], max(0, last - (width - 1)))


def lower(
    layer: Layer, network: Network, conv: Conv, isa: Isa, precision: Precision = Precision.FP32
) -> Lowered | None:
    """Runs `conv` on the layer's first activation with its weights and bias, the weights stored in `precision`.

    Returns:
        None if the kernel or the epilogue is larger than the C++ kernel's arrays, or bfloat16 cannot store the weights.
    """
    weights, bias = network.graph.parameters(layer.anchor)
    if precision is Precision.BF16 and not storable(weights):
        return None
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    channels = Channels(inputs[1], outputs[1], conv.groups, isa.lanes, isa.lanes)
    steps_per_output = channels.group_inputs * conv.kernel[0] * conv.kernel[1]
    block = choose(channels.output_units, outputs[2], outputs[3], steps_per_output, isa, precision)
    groups = channels.output_groups(block.units)
    section = Section()
    weights_offset = section.append_later(
        precision.floats(packed_size(weights, channels, block.units)),
        lambda place: pack(weights, channels, block.units, place, precision),
    )
    bias_offset = section.append_channels(bias, isa.lanes)
    code = epilogue.build(layer, network.graph, section, isa.lanes)
    if code is None or conv.kernel[0] > MAXIMUM_KERNEL_ROWS:
        return None
    shape = initializer(
        kernel_rows=conv.kernel[0],
        row_stride=conv.strides[0],
        row_dilation=conv.dilations[0],
        pad_top=conv.pads[0],
        pad_left=conv.pads[1],
        kernel_columns=conv.kernel[1],
        column_dilation=conv.dilations[1],
        group_inputs=channels.group_inputs,
        group_outputs=channels.group_outputs,
        units=max(group.input_units for group in groups),
        weights=weights_offset,
        bias=bias_offset,
        steps=code.steps,
    )
    steps = [
        conv.kernel[0] * conv.kernel[1] * (min(group.end_input * isa.lanes, inputs[1]) - group.first_input * isa.lanes)
        for group in groups
    ]
    parameters = f"{block.units}, {block.pixels}, {block.rest}, {block.short}, {conv.strides[1]}, {code.type}"
    narrow = partial(lower, layer, network, conv, isa, Precision.BF16) if precision is Precision.FP32 else None
    operands = len(layer.reads) - 1
    return Lowered(
        header="conv_blocked.hpp",
        function=f"conv_blocked<{parameters}{precision.template_arguments}>",
        shape_type="ConvShape",
        shape=shape,
        input_layouts=(Layout.BLOCKED,) * (1 + operands),
        output_layout=Layout.BLOCKED,
        cycles=outputs[0] * outputs[2] * row_cycles(block, steps, outputs[3], isa, precision),
        input_pads=(input_pads(conv, inputs[3], outputs[3]), *[Pads()] * operands),
        constants=section,
        narrow=narrow if outputs[2] * outputs[3] <= NARROW_OUTPUTS else None,
    )


def packed_size(weights: Array, channels: Channels, units: int) -> int:
    """How many weights `pack` writes."""
    stored = max(group.input_units for group in channels.output_groups(units))
    return channels.output_units * channels.output_lanes * stored * channels.input_lanes * math.prod(weights.shape[2:])


def pack(weights: Array, channels: Channels, units: int, place: Array, precision: Precision = Precision.FP32) -> None:
    """Writes [output group][input unit][kernel row][kernel column][lane][output unit][lane] to `place`."""
    largest = largest_magnitude(weights) if precision is Precision.BF16 else 0.0
    at = 0
    for grid in dense_weights(weights, channels, channels.output_groups(units)):
        at += store(grid.transpose(2, 4, 5, 3, 0, 1), largest, place[at:], precision)
