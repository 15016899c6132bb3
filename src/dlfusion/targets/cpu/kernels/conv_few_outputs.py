"""Direct convolution from a blocked tensor into a planar tensor of few channels."""

import math

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue
from dlfusion.targets.cpu.kernels.conv_blocked import input_pads
from dlfusion.targets.cpu.kernels.packing import Channels, dense_weights
from dlfusion.targets.cpu.kernels.register_blocks import (
    INSTRUCTIONS_PER_CYCLE,
    LOADS_PER_CYCLE,
    MULTIPLY_ADD_LATENCY,
    MULTIPLY_ADDS_PER_CYCLE,
)
from dlfusion.targets.cpu.section import Section, initializer, round_up

MAXIMUM_OUTPUTS = 12
"""With more, a blocked output wastes fewer lanes than the additions across lanes cost."""

MAXIMUM_KERNEL_ROWS = 32
"""As FEW_OUTPUTS_KERNEL_ROWS in conv_few_outputs.hpp."""

_PIXELS = {16: {1: 16, 2: 8, 3: 8, 4: 4, 5: 4, 6: 4}, 8: {1: 8, 2: 4, 3: 4, 4: 2}, 4: {1: 4, 2: 4, 3: 4, 4: 4, 5: 4}}
"""For each number of lanes: outputs -> pixels of the register block, a power of two whose sums fit the registers."""

_SHARED_COLUMNS = {16: 11, 8: 5, 4: 11}
"""For each number of lanes: the most kernel columns whose weights fit the registers beside the sums of one output."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """One way for convolutions with few output channels and at least a vector of input channels."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv) or conv.groups > 1:
        return ()
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    few = outputs[1] <= MAXIMUM_OUTPUTS and inputs[1] >= isa.lanes
    if not few or conv.kernel[0] > MAXIMUM_KERNEL_ROWS:
        return ()
    weights, bias = network.graph.parameters(layer.anchor)
    count, cycles = min(
        (
            (count, _row_cycles(conv, inputs[1], outputs, count, isa))
            for count in _PIXELS[isa.lanes]
            if count <= outputs[1]
        ),
        key=lambda item: item[1],
    )
    channels = Channels(inputs[1], outputs[1], 1, isa.lanes, 1)
    section = Section()
    weights_offset = section.append(_pack(weights, channels, count))
    bias_offset = section.append_channels(bias, isa.lanes)
    computed = round_up(outputs[3], isa.lanes)
    place = epilogue.Place(isa.lanes, Layout.PLANAR, computed - outputs[3])
    code = epilogue.build(layer, network.graph, section, place)
    if code is None:
        return ()
    shape = initializer(
        kernel_rows=conv.kernel[0],
        row_stride=conv.strides[0],
        row_dilation=conv.dilations[0],
        pad_top=conv.pads[0],
        pad_left=conv.pads[1],
        kernel_columns=conv.kernel[1],
        column_dilation=conv.dilations[1],
        weights=weights_offset,
        bias=bias_offset,
        steps=code.steps,
    )
    partial = "true" if inputs[1] % isa.lanes else "false"
    shared = _shared_columns(conv, count, isa)
    block = f"{count}, {_PIXELS[isa.lanes][count]}, {outputs[1] % count}, {shared}, {conv.strides[1]}, {partial}"
    output_pads = Pads(0, computed - outputs[3])
    operands = len(layer.reads) - 1
    lowered = Lowered(
        header="conv_few_outputs.hpp",
        function=f"conv_few_outputs<{block}, {code.type}>",
        shape_type="FewOutputsShape",
        shape=shape,
        input_layouts=(Layout.BLOCKED, *[Layout.PLANAR] * operands),
        output_layout=Layout.PLANAR,
        cycles=outputs[0] * outputs[2] * cycles,
        input_pads=(input_pads(conv, inputs[3], computed), *[output_pads] * operands),
        output_pads=output_pads,
        constants=section,
    )
    return (lowered,)


def _shared_columns(conv: Conv, count: int, isa: Isa) -> int:
    """How many kernel columns share the loads of `count` outputs: all, or 1."""
    neighbours = conv.strides[1] == 1 and conv.dilations[1] == 1
    return conv.kernel[1] if count == 1 and neighbours and conv.kernel[1] <= _SHARED_COLUMNS[isa.lanes] else 1


def _row_cycles(conv: Conv, channels: int, outputs: tuple[int, ...], count: int, isa: Isa) -> float:
    """Cycles of one output row in groups of `count` outputs."""
    pixels = _PIXELS[isa.lanes][count]
    taps = math.ceil(channels / isa.lanes) * conv.kernel[0] * conv.kernel[1]
    groups = [count] * (outputs[1] // count) + ([outputs[1] % count] if outputs[1] % count else [])
    segments = math.ceil(outputs[3] / isa.lanes)
    shared = _shared_columns(conv, count, isa)
    cycles = 0.0
    for group in groups:
        products = group * pixels
        loads = group + (pixels + shared - 1) / shared
        step = max(
            products / MULTIPLY_ADDS_PER_CYCLE,
            loads / LOADS_PER_CYCLE,
            MULTIPLY_ADD_LATENCY,
            (products + loads + 3 / shared) / INSTRUCTIONS_PER_CYCLE,
        )
        folding = 1.5 * group * (isa.lanes - 1)
        cycles += segments * (isa.lanes / pixels * (taps * step + 20.0) + folding + 3.0 * group)
    return cycles


def _pack(weights: Array, channels: Channels, count: int) -> Array:
    """[output group][input unit][kernel row][kernel column][output][lane]; `weights` is O x C x KH x KW."""
    grids = dense_weights(weights, channels, channels.output_groups(count))
    return np.concatenate([grid[:, 0].transpose(1, 3, 4, 0, 2).reshape(-1) for grid in grids])
