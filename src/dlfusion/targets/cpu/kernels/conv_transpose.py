"""Transposed convolution as one plain convolution for each phase, in both layouts."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import conv_blocked, epilogue, planar_blocks, register_blocks
from dlfusion.targets.cpu.kernels.conv_blocked import MAXIMUM_KERNEL_ROWS
from dlfusion.targets.cpu.kernels.packing import Channels
from dlfusion.targets.cpu.section import Section, initializer, round_up

_ROWS = 2
"""Output rows that conv_transpose_planar.hpp computes together."""

_MAXIMUM_COLUMNS = 16
"""Input columns of one output column that the planar kernel's code is written out for."""

_MAXIMUM_PHASE_ROWS = 32
"""As many rows of two phases are within MAXIMUM_MEETINGS of conv_transpose_planar.hpp."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The kernel positions that reach the outputs of one phase along one axis, as `transposed_phase` in phases.hpp.

    `positions` lists them in the order of the inputs they meet; output `phase` + i * stride meets input `first` + i at
    the first position, and inputs `dilation` apart at the next ones.
    """

    positions: tuple[int, ...]
    first: int
    dilation: int

    @property
    def last(self) -> int:
        """The input met at the last position by the phase's first output."""
        return self.first + (len(self.positions) - 1) * self.dilation

    @property
    def inputs(self) -> range:
        """The inputs met by the phase's first output."""
        return range(self.first, self.first + len(self.positions) * self.dilation, self.dilation)

    def position(self, met: int) -> int:
        """The kernel position at which the phase's first output meets an input."""
        return self.positions[self.inputs.index(met)]


def phases(kernel: int, stride: int, dilation: int, pad: int) -> tuple[Phase, ...]:
    """One phase for each remainder of the output index by the stride; a phase may have no positions."""
    divisor = math.gcd(stride, dilation)
    found = []
    for phase in range(stride):
        positions = [k for k in reversed(range(kernel)) if (phase + pad - k * dilation) % stride == 0]
        first = (phase + pad - positions[0] * dilation) // stride if positions else 0
        found.append(Phase(tuple(positions), first, dilation // divisor))
    return tuple(found)


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked for every transposed convolution; planar for small column strides and few taps, without groups."""
    operator = layer.anchor.operator
    if not isinstance(operator, ConvTranspose):
        return ()
    found = (_blocked(layer, network, operator, isa), _planar(layer, network, operator, isa))
    return tuple(lowered for lowered in found if lowered is not None)


def _as_convolution(weights: Array, groups: int) -> Array:
    """C x O/groups x KH x KW as O x C/groups x KH x KW."""
    inputs, outputs, *kernel = weights.shape
    grouped = weights.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return np.ascontiguousarray(grouped).reshape(groups * outputs, inputs // groups, *kernel)


@dataclass(frozen=True, slots=True)
class _Phases:
    """The phases along both axes."""

    rows: tuple[Phase, ...]
    columns: tuple[Phase, ...]

    @property
    def most_rows(self) -> int:
        """Kernel rows of the largest row phase."""
        return max(len(phase.positions) for phase in self.rows)

    @property
    def most_columns(self) -> int:
        """Kernel columns of the largest column phase."""
        return max(len(phase.positions) for phase in self.columns)

    @property
    def mean_rows(self) -> float:
        """Kernel rows that an output row meets on average."""
        return sum(len(phase.positions) for phase in self.rows) / len(self.rows)


def _phases(operator: ConvTranspose) -> _Phases:
    along = [
        phases(operator.kernel[axis], operator.strides[axis], operator.dilations[axis], operator.pads[axis])
        for axis in (0, 1)
    ]
    return _Phases(along[0], along[1])


def _blocked(layer: Layer, network: Network, operator: ConvTranspose, isa: Isa) -> Lowered | None:
    weights, bias = network.graph.parameters(layer.anchor)
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    stride = operator.strides[1]
    channels = Channels(inputs[1], outputs[1], operator.groups, isa.lanes, isa.lanes)
    width = math.ceil(outputs[3] / stride)
    found = _phases(operator)
    rows, taps = found.most_rows, found.most_columns
    block = register_blocks.choose(channels.output_units, outputs[2], width, channels.group_inputs * rows * taps, isa)
    kernel = _as_convolution(weights, operator.groups)
    packed = [
        _pack_phase(kernel, row_phase, column_phase, (rows, taps), channels, block.units)
        for row_phase in found.rows
        for column_phase in found.columns
    ]
    groups = channels.output_groups(block.units)
    section = Section()
    weights_offset = section.append(np.concatenate(packed))
    bias_offset = section.append_channels(bias, isa.lanes)
    output_pads = Pads(0, width * stride - outputs[3])
    code = epilogue.build(layer, network.graph, section, epilogue.Place(isa.lanes, overhang=output_pads.right))
    if code is None or rows > MAXIMUM_KERNEL_ROWS:
        return None
    base = initializer(
        kernel_rows=rows,
        row_stride=operator.strides[0],
        row_dilation=operator.dilations[0],
        pad_top=operator.pads[0],
        pad_left=operator.pads[1],
        kernel_columns=operator.kernel[1],
        column_dilation=operator.dilations[1],
        group_inputs=channels.group_inputs,
        group_outputs=channels.group_outputs,
        units=max(group.input_units for group in groups),
        scratch_rows=0,
        weights=weights_offset,
        bias=bias_offset,
        steps=code.steps,
    )
    per_row = found.mean_rows * isa.lanes
    cycles = 0.0
    for phase in found.columns:
        steps = [per_row * len(phase.positions) * group.input_units for group in groups]
        cycles += register_blocks.row_cycles(block, steps, width, isa)
    operands = len(layer.reads) - 1
    parameters = f"{block.units}, {block.pixels}, {block.rest}, {block.short}, {stride}, {code.type}"
    return Lowered(
        header="conv_transpose_blocked.hpp",
        function=f"conv_transpose_blocked<{parameters}>",
        shape_type="TransposedShape",
        shape=initializer(base=base, kernel=operator.kernel[0], stored_taps=taps, phase_weights=packed[0].size),
        input_layouts=(Layout.BLOCKED,) * (1 + operands),
        output_layout=Layout.BLOCKED,
        cycles=outputs[0] * outputs[2] * cycles,
        input_pads=(_input_pads(found.columns, inputs[3], width), *[output_pads] * operands),
        output_pads=output_pads,
        constants=section,
    )


def _pack_phase(
    kernel: Array, row_phase: Phase, column_phase: Phase, size: tuple[int, int], channels: Channels, units: int
) -> Array:
    """The weights of one phase as conv_blocked.hpp reads them, filled up with zeros to `size` rows x taps."""
    part = np.zeros((*kernel.shape[:2], *size), np.float32)
    picked = kernel[:, :, list(row_phase.positions)][:, :, :, list(column_phase.positions)]
    part[:, :, : picked.shape[2], : picked.shape[3]] = picked
    packed = np.empty(conv_blocked.packed_size(part, channels, units), np.float32)
    conv_blocked.pack(part, channels, units, packed)
    return packed


def _input_pads(column_phases: tuple[Phase, ...], width: int, computed: int) -> Pads:
    """Columns read before and after the input's rows when each phase computes `computed` columns."""
    used = [phase for phase in column_phases if phase.positions]
    left = max((-phase.first for phase in used), default=0)
    right = max((computed - 1 + phase.last - (width - 1) for phase in used), default=0)
    return Pads(max(0, left), max(0, right))


def _planar(layer: Layer, network: Network, operator: ConvTranspose, isa: Isa) -> Lowered | None:
    weights, bias = network.graph.parameters(layer.anchor)
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    stride = operator.strides[1]
    found = _phases(operator)
    columns = _fed_phases(found.columns)
    width = math.ceil(outputs[3] / stride)
    taps = _planar_taps(found.rows, columns, inputs[1])
    chosen = planar_blocks.choose(outputs[1], width, _ROWS * stride, taps, isa)
    small = len(columns) <= _MAXIMUM_COLUMNS and found.most_rows <= _MAXIMUM_PHASE_ROWS
    if operator.groups > 1 or not small or chosen is None:
        return None
    block, cycles = chosen
    section = Section()
    kernel = _as_convolution(weights, 1)
    packed = [_pack_planar(kernel, phase, found, columns, block.channels) for phase in found.rows]
    weights_offset = section.append(np.concatenate(packed))
    bias_offset = section.append_channels(bias, isa.lanes)
    computed = round_up(width, isa.lanes)
    output_pads = Pads(0, computed * stride - outputs[3])
    place = epilogue.Place(isa.lanes, Layout.PLANAR, output_pads.right)
    code = epilogue.build(layer, network.graph, section, place)
    if code is None:
        return None
    first, last = min(columns), max(columns)
    read = Pads(max(0, -first), max(0, computed - 1 + last - (inputs[3] - 1)))
    operands = len(layer.reads) - 1
    fed = ", ".join(str(sum(1 << phase for phase in columns[column])) for column in range(first, last + 1))
    parameters = f"{block.channels}, {block.vectors}, {block.rest}, {block.short}, {stride}, PhaseColumns<{fed}>"
    return Lowered(
        header="conv_transpose_planar.hpp",
        function=f"conv_transpose_planar<{parameters}, {code.type}>",
        shape_type="TransposedPlanarShape",
        shape=initializer(
            kernel=operator.kernel[0],
            stored_rows=found.most_rows,
            row_stride=operator.strides[0],
            row_dilation=operator.dilations[0],
            pad_top=operator.pads[0],
            origin=-first,
            phase_weights=packed[0].size,
            weights=weights_offset,
            bias=bias_offset,
            steps=code.steps,
        ),
        input_layouts=(Layout.PLANAR,) * (1 + operands),
        output_layout=Layout.PLANAR,
        cycles=outputs[0] * outputs[2] / _ROWS * cycles,
        input_pads=(read, *[output_pads] * operands),
        output_pads=output_pads,
        constants=section,
    )


def _fed_phases(column_phases: tuple[Phase, ...]) -> dict[int, tuple[int, ...]]:
    """The phases that each input column feeds; columns count from the one at which the phases' output column 0 lies."""
    used = [phase for phase in column_phases if phase.positions]
    columns = range(min(phase.first for phase in used), max(phase.last for phase in used) + 1)
    return {
        column: tuple(index for index, phase in enumerate(column_phases) if column in phase.inputs)
        for column in columns
    }


def _planar_taps(
    row_phases: tuple[Phase, ...], columns: dict[int, tuple[int, ...]], channels: int
) -> planar_blocks.PlanarTaps:
    """The input elements that two output rows read, on average, by how many of their phases each is added to."""
    counts: dict[int, float] = {}
    for first, phase in enumerate(row_phases):
        wrapped = first + 1 == len(row_phases)  # then the next output row starts again from one input row further down
        below = row_phases[(first + 1) % len(row_phases)]
        rows = Counter([*phase.inputs, *(row + wrapped for row in below.inputs)])
        for met in rows.values():
            for fed in columns.values():
                counts[met * len(fed)] = counts.get(met * len(fed), 0.0) + channels / len(row_phases)
    return planar_blocks.PlanarTaps(counts, len(columns))


def _pack_planar(
    kernel: Array, row_phase: Phase, found: _Phases, columns: dict[int, tuple[int, ...]], count: int
) -> Array:
    """One row phase: [group of `count` outputs][kernel row][input channel][input column][output][phase that it feeds].

    `kernel` is O x C x KH x KW. Every row phase gets as many kernel rows as the largest one, the rest zero.
    """
    rows = np.zeros((*kernel.shape[:2], found.most_rows, kernel.shape[3]), np.float32)
    rows[:, :, : len(row_phase.positions)] = kernel[:, :, list(row_phase.positions)]
    ordered = rows.transpose(2, 1, 0, 3)  # kernel row, input channel, output, kernel column
    met = [[found.columns[phase].position(column) for phase in fed] for column, fed in columns.items()]
    return np.concatenate(
        [
            np.concatenate(
                [ordered[:, :, first : first + count, places].reshape(*ordered.shape[:2], -1) for places in met], axis=2
            ).reshape(-1)
            for first in range(0, kernel.shape[0], count)
        ]
    )
