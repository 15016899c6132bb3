"""Resizing by tables of the rows and columns that each output is made of, and copying of rows and columns by tables."""

from collections.abc import Sequence
from math import prod

import numpy as np

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.resize import Resize, ResizeMode, Taps
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, overhang, vector_count
from dlfusion.targets.cpu.section import Section, round_up

_NEAREST_VECTOR_CYCLES, _LINEAR_VECTOR_CYCLES = 4.5, 7.5
_NEAREST_ELEMENT_CYCLES, _LINEAR_ELEMENT_CYCLES = 1.9, 4.5
"""For each vector of a blocked map, and for each element of a planar one; measured on Sapphire Rapids."""

_WEIGHTED_CYCLES = 1.0
"""For each input of each vector, or of each element of a planar map's columns, that interpolation by weights adds."""

_BOTH = (Layout.BLOCKED, Layout.PLANAR)


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked, by vectors, and planar, element by element."""
    operator = layer.anchor.operator
    if not isinstance(operator, Resize):
        return ()
    _, _, height, width = network.shape(layer.reads[0].value)
    rows, columns = operator.row_taps(height), operator.column_taps(width)
    if operator.mode is ResizeMode.NEAREST:
        return copies(layer, network, isa, rows.lower, columns.lower)
    kernel = _linear if operator.is_linear else _weighted
    return tuple(way for layout in _BOTH for way in kernel(layer, network, isa, layout, rows, columns))


def copies(
    layer: Layer, network: Network, isa: Isa, rows: Sequence[int], columns: Sequence[int]
) -> tuple[Lowered, ...]:
    """Ways to run a layer of which each row and column is a copy of an input row and column."""
    ways: tuple[Lowered, ...] = ()
    for layout in _BOTH:
        section = Section()
        kernel = RowKernel(
            header="resize.hpp",
            name="resize",
            shape_type="ResizeShape",
            arguments=(LAYOUT_TYPES[layout], "Nearest"),
            fields={"rows": _copied(rows, section), "columns": _copied(columns, section)},
            input_layouts=(layout,),
            input_pads=(Pads(),),
            output_layout=layout,
            cycles=_cycles(layer, network, isa, layout, _NEAREST_VECTOR_CYCLES, _NEAREST_ELEMENT_CYCLES),
            section=section,
        )
        ways += lower(kernel, layer, network, isa)
    return ways


def _linear(layer: Layer, network: Network, isa: Isa, layout: Layout, rows: Taps, columns: Taps) -> tuple[Lowered, ...]:
    section = Section()
    kernel = RowKernel(
        header="resize.hpp",
        name="resize",
        shape_type="ResizeShape",
        arguments=(LAYOUT_TYPES[layout], "Linear"),
        fields={"rows": _between(rows, section), "columns": _between(columns, section)},
        input_layouts=(layout,),
        input_pads=(Pads(),),
        output_layout=layout,
        cycles=_cycles(layer, network, isa, layout, _LINEAR_VECTOR_CYCLES, _LINEAR_ELEMENT_CYCLES),
        section=section,
    )
    return lower(kernel, layer, network, isa)


def _weighted(
    layer: Layer, network: Network, isa: Isa, layout: Layout, rows: Taps, columns: Taps
) -> tuple[Lowered, ...]:
    section = Section()
    source, shape = network.shape(layer.reads[0].value), network.shape(layer.output)
    unit = isa.lanes if layout is Layout.BLOCKED else 1
    mixed = vector_count((*shape[:3], source[3]), layout, isa)
    summed = vector_count(shape, layout, isa) if layout is Layout.BLOCKED else prod(shape)
    kernel = RowKernel(
        header="resize.hpp",
        name="weighted_resize",
        shape_type="WeightedResizeShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={"rows": _weights(rows, section), "columns": _weights(columns, section)},
        input_layouts=(layout,),
        input_pads=(overhang(source, layout, isa),),
        output_layout=layout,
        cycles=_WEIGHTED_CYCLES * (mixed * (1 + rows.most) + summed * (1 + columns.most)),
        section=section,
        scratch_floats=round_up(source[3] * unit, isa.lanes),
    )
    return lower(kernel, layer, network, isa)


def _cycles(layer: Layer, network: Network, isa: Isa, layout: Layout, vector: float, element: float) -> float:
    shape = network.shape(layer.output)
    return vector * vector_count(shape, layout, isa) if layout is Layout.BLOCKED else element * prod(shape)


def _copied(indices: Sequence[int], section: Section) -> tuple[int, int, int]:
    """The offset of the indices, as lower taps, upper taps and weights: copying reads the first alone."""
    offset = section.append(np.array(indices, np.float32))
    return offset, offset, offset


def _between(taps: Taps, section: Section) -> tuple[int, int, int]:
    """The offsets of lower taps, upper taps and weights; indices are exact as floats up to 2^24."""
    second = [weights[1] if len(weights) > 1 else 0.0 for weights in taps.weights]
    lower_taps, upper_taps, weights = (
        section.append(np.array(values, np.float32)) for values in (taps.lower, taps.upper, second)
    )
    return lower_taps, upper_taps, weights


def _weights(taps: Taps, section: Section) -> tuple[int, int, int, int]:
    """The offsets of first inputs, of how many there are, and of the weights; and the most weights of any output."""
    table = np.zeros((len(taps.lower), taps.most), np.float32)
    for row, weights in zip(table, taps.weights, strict=True):
        row[: len(weights)] = weights
    counts = np.array([len(weights) for weights in taps.weights], np.float32)
    return section.append(np.array(taps.lower, np.float32)), section.append(counts), section.append(table), taps.most
