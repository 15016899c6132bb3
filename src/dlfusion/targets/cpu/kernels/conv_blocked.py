"""Direct convolution into the blocked layout: from blocked tensors, and from planar ones with few channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue
from dlfusion.targets.cpu.kernels.register_blocks import RegisterBlock, choose, segment_cycles
from dlfusion.targets.cpu.kernels.section import Section, initializer, round_up

MAXIMUM_KERNEL_ROWS = 64
"""As in conv_blocked.hpp."""

PLANAR_INPUT_CHANNELS = 8
"""A planar input is offered up to this many channels per group; above, whole vectors of channels are as dense."""


@dataclass(frozen=True, slots=True)
class _Input:
    """How the kernel walks over its input: units of `channels` channels, `taps` and `lanes` as in conv_blocked.hpp."""

    layout: Layout
    channels: int
    column_floats: int
    taps: int
    tap_stride: int
    lanes: int
    last_lanes: int


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked to blocked for every convolution; planar to blocked where the input has few channels."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv) or conv.kernel[0] > MAXIMUM_KERNEL_ROWS:
        return ()
    shape = network.shape(layer.reads[0].value)
    inputs = [_blocked_input(conv, shape, isa)]
    if shape[1] // conv.groups <= PLANAR_INPUT_CHANNELS:
        inputs.append(_planar_input(conv))
    lowered = [_lower(layer, network, conv, walk, isa) for walk in inputs]
    return tuple(item for item in lowered if item is not None)


def input_pads(conv: Conv, width: int, output_width: int) -> Pads:
    """Columns of zeros that a convolution reads before and after its input rows."""
    reach = (output_width - 1) * conv.strides[1] + (conv.kernel[1] - 1) * conv.dilations[1] - conv.pads[1]
    return Pads(conv.pads[1], max(0, reach - (width - 1)))


def _blocked_input(conv: Conv, shape: Shape, isa: Isa) -> _Input:
    last = shape[1] - (round_up(shape[1], isa.lanes) - isa.lanes)
    tap_stride = conv.dilations[1] * isa.lanes
    return _Input(Layout.BLOCKED, isa.lanes, isa.lanes, conv.kernel[1], tap_stride, isa.lanes, last)


def _planar_input(conv: Conv) -> _Input:
    """Kernel columns are lanes if they are neighbours in memory, else taps of one lane."""
    columns = conv.kernel[1]
    if conv.dilations[1] == 1:
        return _Input(Layout.PLANAR, 1, 1, 1, 1, columns, columns)
    return _Input(Layout.PLANAR, 1, 1, columns, conv.dilations[1], 1, 1)


def _lower(layer: Layer, network: Network, conv: Conv, walk: _Input, isa: Isa) -> Lowered | None:
    weights, bias = network.graph.parameters(layer.anchor)
    input_shape, output_shape = network.shape(layer.reads[0].value), network.shape(layer.output)
    output_units = math.ceil(output_shape[1] / isa.lanes)
    block = choose(output_units, output_shape[3], isa)
    ranges = _unit_ranges(conv, weights.shape[0], input_shape[1], block, walk, isa.lanes)
    stored_units = max(end - first for first, end in ranges)
    section = Section()
    weights_offset = section.append(_pack(conv, weights, input_shape[1], block, ranges, stored_units, walk, isa.lanes))
    bias_offset = section.append_channels(bias, isa.lanes)
    code = epilogue.build(layer, network.graph, section, isa.lanes)
    if code is None:
        return None
    pads = input_pads(conv, input_shape[3], output_shape[3])
    fields = (
        conv.kernel[0],
        conv.strides[0],
        conv.dilations[0],
        conv.pads[0],
        conv.pads[1] * walk.column_floats,
        walk.taps,
        walk.tap_stride,
        walk.lanes,
        walk.last_lanes,
        walk.channels,
        input_shape[1] // conv.groups,
        output_shape[1] // conv.groups,
        stored_units,
        weights_offset,
        bias_offset,
        code.steps,
    )
    steps = _steps(conv, ranges, block, walk)
    pixel = conv.strides[1] * walk.column_floats
    return Lowered(
        header="conv_blocked.hpp",
        function=f"conv_blocked<{block.units}, {block.pixels}, {block.rest}, {block.short}, {pixel}, {code.type}>",
        shape_type="ConvShape",
        shape=initializer(*fields),
        input_layouts=(walk.layout, *[Layout.BLOCKED] * (len(layer.reads) - 1)),
        output_layout=Layout.BLOCKED,
        cycles=output_shape[0] * output_shape[2] * _row_cycles(steps, block, output_shape[3], isa),
        input_pads=(pads, *[Pads()] * (len(layer.reads) - 1)),
        constants=section.finish(),
    )


def _unit_ranges(
    conv: Conv, outputs: int, inputs: int, block: RegisterBlock, walk: _Input, lanes: int
) -> list[tuple[int, int]]:
    """For each group of output units, the range of input units that its channels read."""
    group_inputs, group_outputs = inputs // conv.groups, outputs // conv.groups
    ranges = []
    for first, units in block.groups(math.ceil(outputs / lanes)):
        last_channel = min((first + units) * lanes, outputs) - 1
        first_input = first * lanes // group_outputs * group_inputs
        end_input = (last_channel // group_outputs + 1) * group_inputs
        ranges.append((first_input // walk.channels, math.ceil(end_input / walk.channels)))
    return ranges


def _pack(
    conv: Conv,
    weights: Array,
    inputs: int,
    block: RegisterBlock,
    ranges: Sequence[tuple[int, int]],
    stored_units: int,
    walk: _Input,
    lanes: int,
) -> Array:
    """The weights in the kernel's order, zero where a group does not read a channel or a unit has no channel."""
    outputs, group_inputs, kernel_rows, kernel_columns = weights.shape
    group_outputs = outputs // conv.groups
    packed = []
    for (first, units), (first_unit, end_unit) in zip(block.groups(math.ceil(outputs / lanes)), ranges, strict=True):
        first_input = first_unit * walk.channels
        dense = np.zeros((units * lanes, stored_units * walk.channels, kernel_rows, kernel_columns), np.float32)
        first_output, end_output = first * lanes, min((first + units) * lanes, outputs)
        for group in range(first_output // group_outputs, (end_output - 1) // group_outputs + 1):
            low = max(group * group_outputs, first_output)
            high = min((group + 1) * group_outputs, end_output)
            at = group * group_inputs - first_input
            dense[low - first_output : high - first_output, at : at + group_inputs] = weights[low:high]
        grid = dense.reshape(units, lanes, stored_units, walk.channels, kernel_rows, kernel_columns)
        if walk.layout is Layout.BLOCKED:
            packed.append(grid.transpose(2, 4, 5, 3, 0, 1).reshape(-1))
        else:
            packed.append(grid.transpose(2, 3, 4, 5, 0, 1).reshape(-1))
    return np.concatenate(packed)


def _steps(conv: Conv, ranges: Sequence[tuple[int, int]], block: RegisterBlock, walk: _Input) -> list[int]:
    """Lane steps of one register block, for each group of output units; rows outside the input count too."""
    per_unit = conv.kernel[0] * walk.taps
    last_unit = max(end for _, end in ranges)
    return [
        per_unit * ((end - first) * walk.lanes - (walk.lanes - walk.last_lanes if end == last_unit else 0))
        for first, end in ranges
    ]


def _row_cycles(steps: Sequence[int], block: RegisterBlock, width: int, isa: Isa) -> float:
    """Estimated cycles of one output row of all channels."""
    cycles = 0.0
    for group, count in enumerate(steps):
        units = block.rest if block.rest and group == len(steps) - 1 else block.units
        for pixels in block.segments(width):
            cycles += segment_cycles(count, units, pixels, isa)
    return cycles
