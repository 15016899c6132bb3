"""Direct convolution from a blocked tensor into a blocked tensor."""

import math
from functools import partial

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.bfloat16 import largest_magnitude, store
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue, narrowing
from dlfusion.targets.cpu.kernels.packing import Channels, dense_weights
from dlfusion.targets.cpu.kernels.register_blocks import choose, row_cycles
from dlfusion.targets.cpu.precision import Storage
from dlfusion.targets.cpu.section import Section, initializer

MAXIMUM_KERNEL_ROWS = 256
"""As in conv_blocked.hpp."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """One way for every convolution, whatever its groups, strides and dilations."""
    conv = layer.anchor.operator
    return ways(layer, network, conv, isa) if isinstance(conv, Conv) else ()


def ways(layer: Layer, network: Network, conv: Conv, isa: Isa) -> tuple[Lowered, ...]:
    """The way to run `conv` on the layer's first activation with its weights and bias."""
    storage = narrowing.convolution_storage(network.shape(layer.output), isa)
    weights = network.graph.parameters(layer.anchor)[0]
    return narrowing.ways(partial(lower, layer, network, conv, isa), weights, storage)


def input_pads(conv: Conv, width: int, output_width: int) -> Pads:
    """Columns of zeros that a convolution reads before and after its input rows."""
    last = (output_width - 1) * conv.strides[1] + (conv.kernel[1] - 1) * conv.dilations[1] - conv.pads[1]
    return Pads(conv.pads[1], max(0, last - (width - 1)))


def lower(layer: Layer, network: Network, conv: Conv, isa: Isa, storage: Storage = Storage.FLOAT32) -> Lowered | None:
    """Runs `conv` on the layer's first activation with its weights and bias.

    Returns:
        None if the kernel or the epilogue is larger than the C++ kernel's arrays.
    """
    weights, bias = network.graph.parameters(layer.anchor)
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    channels = Channels(inputs[1], outputs[1], conv.groups, isa.lanes, isa.lanes)
    taps = conv.kernel[0] * conv.kernel[1]
    steps_per_output = math.ceil(channels.group_inputs / storage.channels) * taps
    block = choose(channels.output_units, outputs[2], outputs[3], steps_per_output, isa, storage)
    groups = channels.output_groups(block.units)
    section = Section()
    weights_offset = section.append_later(
        storage.floats(packed_size(weights, channels, block.units)),
        lambda place: pack(weights, channels, block.units, place, storage),
    )
    bias_offset = section.append_channels(bias, isa.lanes)
    code = epilogue.build(layer, network.graph, section, epilogue.Place(isa.lanes))
    if code is None or conv.kernel[0] > MAXIMUM_KERNEL_ROWS:
        return None
    window_rows, window_columns = ((size - 1) * by + 1 for size, by in zip(conv.kernel, conv.dilations, strict=True))
    columns = (outputs[3] - 1) * conv.strides[1] + window_columns
    converted = narrowing.conversion(storage, inputs, outputs, columns, window_rows, conv.strides[0], isa)
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
        scratch_rows=converted.rows,
        weights=weights_offset,
        bias=bias_offset,
        steps=code.steps,
    )
    steps = [
        taps * (min(group.end_input * isa.lanes, inputs[1]) - group.first_input * isa.lanes) / storage.channels
        for group in groups
    ]
    parameters = f"{block.units}, {block.pixels}, {block.rest}, {block.short}, {conv.strides[1]}, {code.type}"
    operands = len(layer.reads) - 1
    return Lowered(
        header="conv_blocked.hpp",
        function=f"conv_blocked<{parameters}{storage.template_arguments}>",
        shape_type="ConvShape",
        shape=shape,
        input_layouts=(Layout.BLOCKED,) * (1 + operands),
        output_layout=Layout.BLOCKED,
        cycles=outputs[0] * outputs[2] * row_cycles(block, steps, outputs[3], isa, storage) + converted.cycles,
        input_pads=(input_pads(conv, inputs[3], outputs[3]), *[Pads()] * operands),
        constants=section,
        scratch_floats=converted.floats,
    )


def packed_size(weights: Array, channels: Channels, units: int) -> int:
    """How many weights `pack` writes."""
    stored = max(group.input_units for group in channels.output_groups(units))
    return channels.output_units * channels.output_lanes * stored * channels.input_lanes * math.prod(weights.shape[2:])


def pack(weights: Array, channels: Channels, units: int, place: Array, storage: Storage = Storage.FLOAT32) -> None:
    """Writes [output group][input unit][kernel row][kernel column][lane][output unit][lane] to `place`."""
    largest = largest_magnitude(weights) if storage is Storage.BFLOAT16 else 0.0
    at = 0
    for grid in dense_weights(weights, channels, channels.output_groups(units)):
        at += store(grid.transpose(2, 4, 5, 3, 0, 1), largest, place[at:], storage)
