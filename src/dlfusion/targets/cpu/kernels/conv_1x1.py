"""1x1 convolution from a blocked tensor into a blocked tensor, as a product over the pixels of a row."""

import math
from functools import partial

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.bfloat16 import largest_magnitude, store
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import narrowing
from dlfusion.targets.cpu.kernels.register_blocks import RegisterBlock, choose, step_cycles
from dlfusion.targets.cpu.kernels.row_kernel import RowKernel, lower
from dlfusion.targets.cpu.precision import Storage
from dlfusion.targets.cpu.section import Section, round_up

_MOST_PIXELS_OF_ONE_UNIT = 14
"""With one output vector, wider blocks gain nothing: loading inputs takes as long as multiplying (measured)."""

_MOST_PIXELS_OF_HALVES = {16: {1: 14, 3: 9, 5: 5}, 8: {1: 7, 3: 4}, 4: {1: 14, 3: 8, 5: 5}}
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
    storage = narrowing.convolution_storage(network.shape(layer.output), isa)
    weights = network.graph.parameters(layer.anchor)[0]
    whole, halves = (partial(lower_by, conv, layer, network, isa) for lower_by in (_whole, _halves))
    return narrowing.ways(whole, weights, storage) + narrowing.ways(halves, weights, storage)


def _whole(conv: Conv, layer: Layer, network: Network, isa: Isa, storage: Storage) -> Lowered | None:
    weights, bias = network.graph.parameters(layer.anchor)
    outputs, inputs = weights.shape[:2]
    images, _, height, width = output = network.shape(layer.output)
    units, steps = math.ceil(outputs / isa.lanes), math.ceil(inputs / storage.channels)
    block = _block(units, height, width, steps, isa, storage)
    converted = narrowing.conversion(
        storage, network.shape(layer.reads[0].value), output, width, 1, conv.strides[0], isa
    )
    section = Section()
    fields = {
        "row_stride": conv.strides[0],
        "scratch_rows": converted.rows,
        "weights": section.append_later(
            storage.floats(units * isa.lanes * steps * storage.channels),
            lambda place: _pack(weights, block, isa.lanes, storage, place),
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
        cycles=images * height * _row_cycles(block, units, width, steps, isa, storage) + converted.cycles,
        section=section,
        storage=storage,
        scratch_floats=converted.floats,
    )
    return next(iter(lower(kernel, layer, network, isa)), None)


def _halves(conv: Conv, layer: Layer, network: Network, isa: Isa, storage: Storage) -> Lowered | None:
    weights, bias = network.graph.parameters(layer.anchor)
    outputs, inputs = weights.shape[:2]
    images, _, height, width = output = network.shape(layer.output)
    halves = math.ceil(outputs / (isa.lanes // 2))
    most = _MOST_PIXELS_OF_HALVES[isa.lanes].get(halves, 0)
    step_inputs = 2 * storage.channels
    if most == 0 or inputs % step_inputs != 0 or storage is Storage.BFLOAT16:
        return None
    block = _equal_blocks(halves, width, most)
    converted = narrowing.conversion(
        storage, network.shape(layer.reads[0].value), output, width, 1, conv.strides[0], isa
    )
    section = Section()
    fields = {
        "row_stride": conv.strides[0],
        "scratch_rows": converted.rows,
        "weights": section.append_later(
            inputs // step_inputs * halves * isa.lanes,
            lambda place: _pack_halves(weights, halves, isa.lanes, storage, place),
        ),
        "bias": section.append(_spread_bias(bias, halves, isa.lanes)),
    }
    finish = _HALF_CYCLES * halves
    cycles = sum(
        inputs / step_inputs * step_cycles(halves, pixels, isa) + finish * pixels + _BLOCK_CYCLES
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
        cycles=images * height * cycles + converted.cycles,
        section=section,
        storage=storage,
        scratch_floats=converted.floats,
    )
    return next(iter(lower(kernel, layer, network, isa)), None)


def _block(output_units: int, height: int, width: int, steps: int, isa: Isa, storage: Storage) -> RegisterBlock:
    block = choose(output_units, height, width, steps, isa, storage)
    if block.units > 1 or block.pixels <= _MOST_PIXELS_OF_ONE_UNIT:
        return block
    return _equal_blocks(1, width, _MOST_PIXELS_OF_ONE_UNIT)


def _equal_blocks(units: int, width: int, most: int) -> RegisterBlock:
    """As few blocks of at most `most` pixels as the width needs, of almost equal length."""
    count = math.ceil(width / most)
    pixels = math.ceil(width / count)
    return RegisterBlock(units, pixels, 0, int(pixels * count != width))


def _row_cycles(block: RegisterBlock, output_units: int, width: int, steps: int, isa: Isa, storage: Storage) -> float:
    """Cycles of one output row: multiply-adds, stores, and what surrounds them."""
    return sum(
        steps * step_cycles(units, pixels, isa, storage) + units * pixels + _BLOCK_CYCLES
        for _, units in block.groups(output_units)
        for pixels in block.segments(width)
    )


def _pack(weights: Array, block: RegisterBlock, lanes: int, storage: Storage, place: Array) -> None:
    """Writes [output group][input channel][output unit][lane] to `place`, with zeros for channels that fill a step."""
    outputs, inputs = weights.shape[:2]
    filled = round_up(inputs, storage.channels)
    largest = largest_magnitude(weights) if storage is Storage.BFLOAT16 else 0.0
    at = 0
    for first, units in block.groups(math.ceil(outputs / lanes)):
        part = weights[first * lanes : (first + units) * lanes, :, 0, 0]
        group = np.zeros((filled, units * lanes), np.float32)
        group[:inputs, : part.shape[0]] = part.T
        at += store(group.reshape(filled, units, lanes), largest, place[at:], storage)


def _pack_halves(weights: Array, halves: int, lanes: int, storage: Storage, place: Array) -> None:
    """Writes [pair of steps][half][output channel of the half][step of the pair] to `place`; the storage has steps."""
    outputs, inputs = weights.shape[:2]
    filled = np.zeros((halves * lanes // 2, inputs), np.float32)
    filled[:outputs] = weights[:, :, 0, 0]
    grid = filled.reshape(halves, lanes // 2, -1, 2, storage.channels)
    steps = grid.transpose(2, 4, 0, 1, 3)  # pair of steps, channel of the step, half, output channel, step of the pair
    store(np.ascontiguousarray(steps).reshape(*steps.shape[:2], halves, lanes), 0.0, place, storage)


def _spread_bias(bias: Array, halves: int, lanes: int) -> Array:
    """[half][output channel of the half][2]: the bias, then zero."""
    spread = np.zeros((halves * lanes // 2, 2), np.float32)
    spread[: bias.size, 0] = bias.reshape(-1)
    return spread
