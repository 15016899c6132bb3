"""Direct convolution from a planar tensor into a planar one: layers of few channels on wide maps."""

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue
from dlfusion.targets.cpu.kernels.conv_first import MAXIMUM_TAPS, planar_shape
from dlfusion.targets.cpu.kernels.packing import Channels, dense_weights
from dlfusion.targets.cpu.kernels.planar_blocks import PlanarTaps, choose
from dlfusion.targets.cpu.section import Section, round_up

MAXIMUM_CHANNELS = 64
"""With more on both sides, blocked tensors waste no lanes and read fewer cache lines."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """One way for convolutions of column stride 1 with few taps."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv) or conv.strides[1] != 1:
        return ()
    weights, bias = network.graph.parameters(layer.anchor)
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    channels = Channels(inputs[1], outputs[1], conv.groups, 1, 1)
    taps = channels.group_inputs * conv.kernel[0] * conv.kernel[1]
    if taps > MAXIMUM_TAPS or conv.groups > 1 or min(inputs[1], outputs[1]) > MAXIMUM_CHANNELS:
        return ()
    chosen = choose(outputs[1], outputs[3], 1, PlanarTaps({1: taps}, conv.kernel[1]), isa)
    if chosen is None:
        return ()
    block, cycles = chosen
    section = Section()
    weights_offset = section.append_later(weights.size, lambda place: _pack(weights, channels, block.channels, place))
    bias_offset = section.append_channels(bias, isa.lanes)
    computed = round_up(outputs[3], isa.lanes)
    place = epilogue.Place(isa.lanes, Layout.PLANAR, computed - outputs[3])
    code = epilogue.build(layer, network.graph, section, place)
    if code is None:
        return ()
    shape = planar_shape(conv, channels, channels.group_inputs, weights_offset, bias_offset, code.steps)
    last = computed - 1 + (conv.kernel[1] - 1) * conv.dilations[1] - conv.pads[1]
    output_pads = Pads(0, computed - outputs[3])
    operands = len(layer.reads) - 1
    lowered = Lowered(
        header="conv_planar.hpp",
        function=f"conv_planar<{block.channels}, {block.vectors}, {block.rest}, {block.short}, {code.type}>",
        shape_type="PlanarShape",
        shape=shape,
        input_layouts=(Layout.PLANAR,) * (1 + operands),
        output_layout=Layout.PLANAR,
        cycles=outputs[0] * outputs[2] * (cycles + 0.5 * taps),
        input_pads=(Pads(conv.pads[1], max(0, last - (inputs[3] - 1))), *[output_pads] * operands),
        output_pads=output_pads,
        constants=section,
    )
    return (lowered,)


def _pack(weights: Array, channels: Channels, count: int, place: Array) -> None:
    """Writes [output group][kernel row][input channel][kernel column][output channel] to `place`."""
    grids = dense_weights(weights, channels, channels.output_groups(count))
    np.concatenate([grid[:, 0, :, 0].transpose(2, 1, 3, 0).reshape(-1) for grid in grids], out=place)
