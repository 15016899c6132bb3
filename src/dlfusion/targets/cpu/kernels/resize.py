"""Resizing by tables of the rows and columns that each output lies between."""

from math import prod

import numpy as np

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.resize import Resize, ResizeMode, Taps
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, vector_count
from dlfusion.targets.cpu.section import Section

_VECTOR_CYCLES = {ResizeMode.NEAREST: 4.5, ResizeMode.LINEAR: 7.5}
_ELEMENT_CYCLES = {ResizeMode.NEAREST: 1.9, ResizeMode.LINEAR: 4.5}
"""For each vector of a blocked map, and for each element of a planar one; measured on Sapphire Rapids."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked, by vectors, and planar, element by element."""
    operator = layer.anchor.operator
    if not isinstance(operator, Resize):
        return ()
    layouts = (Layout.BLOCKED, Layout.PLANAR)
    return tuple(way for layout in layouts for way in _lower(operator, layer, network, isa, layout))


def _lower(operator: Resize, layer: Layer, network: Network, isa: Isa, layout: Layout) -> tuple[Lowered, ...]:
    section = Section()
    _, _, height, width = network.shape(layer.reads[0].value)
    shape = network.shape(layer.output)
    if layout is Layout.BLOCKED:
        cycles = _VECTOR_CYCLES[operator.mode] * vector_count(shape, layout, isa)
    else:
        cycles = _ELEMENT_CYCLES[operator.mode] * prod(shape)
    kernel = RowKernel(
        header="resize.hpp",
        name="resize",
        shape_type="ResizeShape",
        arguments=(LAYOUT_TYPES[layout], "Nearest" if operator.mode is ResizeMode.NEAREST else "Linear"),
        fields={
            "rows": _table(operator.row_taps(height), section),
            "columns": _table(operator.column_taps(width), section),
        },
        input_layouts=(layout,),
        input_pads=(Pads(),),
        output_layout=layout,
        cycles=cycles,
        section=section,
    )
    return lower(kernel, layer, network, isa)


def _table(taps: Taps, section: Section) -> tuple[int, int, int]:
    """The offsets of lower taps, upper taps and weights; indices are exact as floats up to 2^24."""
    lower_taps, upper_taps, weights = (
        section.append(np.array(values, np.float32)) for values in (taps.lower, taps.upper, taps.weight)
    )
    return lower_taps, upper_taps, weights
