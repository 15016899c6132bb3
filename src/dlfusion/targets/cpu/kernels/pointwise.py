"""Layers whose anchor is itself pointwise: load, apply the whole chain, store."""

from dlfusion.layers.layer import Layer, Network
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, overhang, vector_count

_CYCLES = 3.5
"""To load and store one vector, with what first-level cache misses cost."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked and planar; every operand has the layout of the output."""
    return tuple(way for layout in (Layout.BLOCKED, Layout.PLANAR) for way in _lower(layer, network, isa, layout))


def _lower(layer: Layer, network: Network, isa: Isa, layout: Layout) -> tuple[Lowered, ...]:
    shape = network.shape(layer.output)
    kernel = RowKernel(
        header="pointwise.hpp",
        name="pointwise",
        shape_type="PointwiseShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={},
        input_layouts=(layout,),
        input_pads=(overhang(shape, layout, isa),),
        output_layout=layout,
        cycles=_CYCLES * vector_count(shape, layout, isa),
    )
    return lower(kernel, layer, network, isa)
