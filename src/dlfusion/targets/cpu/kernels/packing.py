"""Weights of convolutions in the order in which kernels read them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlfusion.graph.graph import Array


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """The output channels of one register block, and the input units that they read.

    `first` and `units` count output units of `lanes` channels (1 in planar tensors); `first_input` and `end_input`
    count input units.
    """

    first: int
    units: int
    first_input: int
    end_input: int

    @property
    def input_units(self) -> int:
        """How many input units the group reads."""
        return self.end_input - self.first_input


@dataclass(frozen=True, slots=True)
class Channels:
    """How a convolution's channels fall into units and groups; `*_lanes` are channels per unit of each tensor."""

    inputs: int
    outputs: int
    groups: int
    input_lanes: int
    output_lanes: int

    @property
    def group_inputs(self) -> int:
        """Input channels of one group."""
        return self.inputs // self.groups

    @property
    def group_outputs(self) -> int:
        """Output channels of one group."""
        return self.outputs // self.groups

    @property
    def output_units(self) -> int:
        """Units of the output, the last one perhaps not full."""
        return math.ceil(self.outputs / self.output_lanes)

    def output_groups(self, units: int) -> tuple[OutputGroup, ...]:
        """The output cut into groups of `units` units, the last one perhaps smaller."""
        return tuple(self._group(first, units) for first in range(0, self.output_units, units))

    def _group(self, first: int, units: int) -> OutputGroup:
        count = min(units, self.output_units - first)
        last_channel = min((first + count) * self.output_lanes, self.outputs) - 1
        first_input = first * self.output_lanes // self.group_outputs * self.group_inputs
        end_input = (last_channel // self.group_outputs + 1) * self.group_inputs
        return OutputGroup(first, count, first_input // self.input_lanes, math.ceil(end_input / self.input_lanes))


def dense_weights(weights: Array, channels: Channels, groups: Sequence[OutputGroup]) -> Iterator[Array]:
    """For each output group: output unit, lane, input unit, lane, kernel row, kernel column (perhaps a view).

    `weights` is O x C/groups x KH x KW. All groups get as many input units as the widest one; entries are zero where a
    channel does not exist or belongs to another group of the convolution.
    """
    stored = max(group.input_units for group in groups)
    whole = channels.inputs % channels.input_lanes == 0 and channels.groups == 1
    for group in groups:
        first_output = group.first * channels.output_lanes
        end_output = min((group.first + group.units) * channels.output_lanes, channels.outputs)
        rows = group.units * channels.output_lanes
        if whole and end_output - first_output == rows:
            part = weights[first_output:end_output]
            yield part.reshape(group.units, channels.output_lanes, stored, channels.input_lanes, *weights.shape[2:])
            continue
        dense = np.zeros((rows, stored * channels.input_lanes, *weights.shape[2:]), np.float32)
        for index in range(first_output // channels.group_outputs, (end_output - 1) // channels.group_outputs + 1):
            low = max(index * channels.group_outputs, first_output)
            high = min((index + 1) * channels.group_outputs, end_output)
            at = index * channels.group_inputs - group.first_input * channels.input_lanes
            dense[low - first_output : high - first_output, at : at + channels.group_inputs] = weights[low:high]
        yield dense.reshape(group.units, channels.output_lanes, stored, channels.input_lanes, *weights.shape[2:])
