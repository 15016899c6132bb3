"""1x1 convolution from a blocked tensor into a blocked tensor, as a product over the pixels of a row."""

import math
from dataclasses import replace

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.bfloat16 import largest_magnitude, storable, store
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.conv_blocked import NARROW_OUTPUTS
from dlfusion.targets.cpu.kernels.register_blocks import RegisterBlock, choose, step_cycles
from dlfusion.targets.cpu.kernels.row_kernel import RowKernel, lower
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.section import Section

_MOST_PIXELS_OF_ONE_UNIT = 14
"""With one output vector, wider blocks gain nothing: loading inputs takes as long as multiplying (measured)."""

_MOST_PIXELS_OF_HALVES = {16: {1: 14, 3: 9, 5: 5}, 8: {1: 7, 3: 4}}
"""For each number of lanes: half vectors of output channels -> the widest block that fits the registers."""

_HALF_CYCLES = 2.0
"""To add even and odd lanes of one vector and store the result."""

_BLOCK_CYCLES = 10.0
"""To begin and end a register block, beside storing its results."""


def runs(conv: Conv, output: Shape) -> bool:
    """Whether the kernel runs this convolution: one weight for each pair of channels, no padding, several pixels.

    With one pixel all time goes into reading weights, for which `conv_blocked` looks further ahead.
    """
    return conv.kernel == (1, 1) and conv.groups == 1 and not any(conv.pads) and output[2] * output[3] > 1


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """1x1 convolutions without padding and groups: by whole vectors and, where it is an odd number, by half vectors."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv) or not runs(conv, network.shape(layer.output)):
        return ()
    return _whole(conv, layer, network, isa) + _halves(conv, layer, network, isa)


def _whole(
    conv: Conv, layer: Layer, network: Network, isa: Isa, precision: Precision = Precision.FP32
) -> tuple[Lowered, ...]:
    weights, bias = network.graph.parameters(layer.anchor)
    outputs, inputs = weights.shape[:2]
    images, _, height, width = network.shape(layer.output)
    units = math.ceil(outputs / isa.lanes)
    block = _block(units, height, width, inputs, isa, precision)
    section = Section()
    fields = {
        "row_stride": conv.strides[0],
        "weights": section.append_later(
            precision.floats(units * isa.lanes * inputs),
            lambda place: _pack(weights, block, isa.lanes, precision, place),
        ),
        "bias": section.append_channels(bias, isa.lanes),
    }
    kernel = RowKernel(
        name="conv_1x1",
        header="conv_1x1.hpp",
        shape_type="Conv1x1Shape",
        arguments=(block.units, block.pixels, block.rest, block.short, conv.strides[1]),
        fields=fields,
        input_layouts=(Layout.BLOCKED,),
        input_pads=(Pads(),),
        output_layout=Layout.BLOCKED,
        cycles=images * height * _row_cycles(block, units, width, inputs, isa, precision),
        section=section,
        precision=precision,
    )
    found = lower(kernel, layer, network, isa)
    if precision is Precision.BF16 or height * width > NARROW_OUTPUTS:
        return found
    return tuple(replace(way, narrow=lambda: _narrow(conv, layer, network, isa)) for way in found)


def _narrow(conv: Conv, layer: Layer, network: Network, isa: Isa) -> Lowered | None:
    """The same with weights as bfloat16, where these can store them."""
    weights, _ = network.graph.parameters(layer.anchor)
    return _whole(conv, layer, network, isa, Precision.BF16)[0] if storable(weights) else None


def _halves(conv: Conv, layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    weights, bias = network.graph.parameters(layer.anchor)
    outputs, inputs = weights.shape[:2]
    images, _, height, width = network.shape(layer.output)
    halves = math.ceil(outputs / (isa.lanes // 2))
    most = _MOST_PIXELS_OF_HALVES[isa.lanes].get(halves, 0)
    if most == 0 or inputs % 2 != 0:
        return ()
    block = _equal_blocks(halves, width, most)
    section = Section()
    fields = {
        "row_stride": conv.strides[0],
        "weights": section.append_later(
            inputs // 2 * halves * isa.lanes, lambda place: _pack_halves(weights, halves, isa.lanes, place)
        ),
        "bias": section.append(_spread_bias(bias, halves, isa.lanes)),
    }
    finish = _HALF_CYCLES * halves
    cycles = sum(
        inputs / 2 * step_cycles(halves, pixels, isa) + finish * pixels + _BLOCK_CYCLES
        for pixels in block.segments(width)
    )
    kernel = RowKernel(
        name="conv_1x1_halves",
        header="conv_1x1_halves.hpp",
        shape_type="Conv1x1Shape",
        arguments=(halves, block.pixels, block.short, conv.strides[1]),
        fields=fields,
        input_layouts=(Layout.BLOCKED,),
        input_pads=(Pads(),),
        output_layout=Layout.BLOCKED,
        cycles=images * height * cycles,
        section=section,
    )
    return lower(kernel, layer, network, isa)


def _block(output_units: int, height: int, width: int, inputs: int, isa: Isa, precision: Precision) -> RegisterBlock:
    block = choose(output_units, height, width, inputs, isa, precision)
    if block.units > 1 or block.pixels <= _MOST_PIXELS_OF_ONE_UNIT:
        return block
    return _equal_blocks(1, width, _MOST_PIXELS_OF_ONE_UNIT)


def _equal_blocks(units: int, width: int, most: int) -> RegisterBlock:
    """As few blocks of at most `most` pixels as the width needs, of almost equal length."""
    count = math.ceil(width / most)
    pixels = math.ceil(width / count)
    return RegisterBlock(units, pixels, 0, int(pixels * count != width))


def _row_cycles(
    block: RegisterBlock, output_units: int, width: int, inputs: int, isa: Isa, precision: Precision
) -> float:
    """Cycles of one output row: multiply-adds, stores, and what surrounds them."""
    return sum(
        inputs * step_cycles(units, pixels, isa, precision) + units * pixels + _BLOCK_CYCLES
        for _, units in block.groups(output_units)
        for pixels in block.segments(width)
    )


def _pack(weights: Array, block: RegisterBlock, lanes: int, precision: Precision, place: Array) -> None:
    """Writes [output group][input channel][output unit][lane] to `place`."""
    outputs, inputs = weights.shape[:2]
    largest = largest_magnitude(weights) if precision is Precision.BF16 else 0.0
    at = 0
    for first, units in block.groups(math.ceil(outputs / lanes)):
        part = weights[first * lanes : (first + units) * lanes, :, 0, 0]
        group = np.zeros((inputs, units * lanes), np.float32)
        group[:, : part.shape[0]] = part.T
        at += store(group.reshape(inputs, units, lanes), largest, place[at:], precision)


def _pack_halves(weights: Array, halves: int, lanes: int, place: Array) -> None:
    """Writes [pair of input channels][half][output channel of the half][input channel of the pair] to `place`."""
    outputs, inputs = weights.shape[:2]
    filled = np.zeros((halves * lanes // 2, inputs), np.float32)
    filled[:outputs] = weights[:, :, 0, 0]
    grid = filled.reshape(halves, lanes // 2, inputs // 2, 2)
    place.reshape(inputs // 2, halves, lanes // 2, 2)[...] = grid.transpose(2, 0, 1, 3)


def _spread_bias(bias: Array, halves: int, lanes: int) -> Array:
    """[half][output channel of the half][2]: the bias, then zero."""
    spread = np.zeros((halves * lanes // 2, 2), np.float32)
    spread[: bias.size, 0] = bias.reshape(-1)
    return spread
