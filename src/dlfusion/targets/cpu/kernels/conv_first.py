"""Direct convolution from a planar tensor of few channels into a blocked tensor."""

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue
from dlfusion.targets.cpu.kernels.conv_blocked import input_pads
from dlfusion.targets.cpu.kernels.packing import Channels, dense_weights
from dlfusion.targets.cpu.kernels.register_blocks import choose, row_cycles
from dlfusion.targets.cpu.section import Section, initializer

MAXIMUM_TAPS = 2048
"""As in planar_taps.hpp: input channels x kernel rows x kernel columns."""

MAXIMUM_CHANNELS = 16
"""Per group; with more, a blocked input is as dense, and its unit-stride reads are better."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """One way for convolutions of few input channels."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv):
        return ()
    lowered = lower(layer, network, conv, isa)
    return () if lowered is None else (lowered,)


def lower(layer: Layer, network: Network, conv: Conv, isa: Isa) -> Lowered | None:
    """Runs `conv` on the layer's first activation with its weights and bias.

    Returns:
        None if the input has too many channels, or the kernel or epilogue does not fit the C++ kernel's arrays.
    """
    weights, bias = network.graph.parameters(layer.anchor)
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    channels = Channels(inputs[1], outputs[1], conv.groups, 1, isa.lanes)
    steps_per_output = channels.group_inputs * conv.kernel[0] * conv.kernel[1]
    block = choose(channels.output_units, outputs[2], outputs[3], steps_per_output, isa)
    groups = channels.output_groups(block.units)
    stored = max(group.input_units for group in groups)
    taps = stored * conv.kernel[0] * conv.kernel[1]
    if channels.group_inputs > MAXIMUM_CHANNELS or taps > MAXIMUM_TAPS:
        return None
    section = Section()
    weights_offset = section.append_later(
        channels.output_units * isa.lanes * taps, lambda place: _pack(weights, channels, block.units, place)
    )
    bias_offset = section.append_channels(bias, isa.lanes)
    code = epilogue.build(layer, network.graph, section, epilogue.Place(isa.lanes))
    if code is None:
        return None
    shape = planar_shape(conv, channels, stored, weights_offset, bias_offset, code.steps)
    parameters = f"{block.units}, {block.pixels}, {block.rest}, {block.short}, {conv.strides[1]}, {code.type}"
    operands = len(layer.reads) - 1
    cycles = row_cycles(block, [taps] * len(groups), outputs[3], isa) + 2.0 * taps
    return Lowered(
        header="conv_first.hpp",
        function=f"conv_first<{parameters}>",
        shape_type="PlanarShape",
        shape=shape,
        input_layouts=(Layout.PLANAR, *[Layout.BLOCKED] * operands),
        output_layout=Layout.BLOCKED,
        cycles=outputs[0] * outputs[2] * cycles,
        input_pads=(input_pads(conv, inputs[3], outputs[3]), *[Pads()] * operands),
        constants=section,
    )


def planar_shape(conv: Conv, channels: Channels, stored: int, weights: int, bias: int, steps: str) -> str:
    """The initializer of planar_taps.hpp's `PlanarShape` for a convolution.

    Weights are stored for `stored` input channels of each group of output units; `weights` and `bias` are offsets into
    the layer's section, and `steps` is the epilogue's initializer.
    """
    return initializer(
        kernel_rows=conv.kernel[0],
        row_stride=conv.strides[0],
        row_dilation=conv.dilations[0],
        pad_top=conv.pads[0],
        origin=conv.pads[1],
        columns=conv.kernel[1],
        column_stride=conv.dilations[1],
        group_inputs=channels.group_inputs,
        group_outputs=channels.group_outputs,
        channels=stored,
        weights=weights,
        bias=bias,
        steps=steps,
    )


def _pack(weights: Array, channels: Channels, units: int, place: Array) -> None:
    """Writes [output group][kernel row][input channel][kernel column][output unit][lane] to `place`."""
    groups = channels.output_groups(units)
    grids = dense_weights(weights, channels, groups)
    np.concatenate([grid[:, :, :, 0].transpose(3, 2, 4, 0, 1).reshape(-1) for grid in grids], out=place)
