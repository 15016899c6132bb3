"""Softmax over channels, at every place of the map."""

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.softmax import Softmax
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, overhang, vector_count

_VECTOR_CYCLES = 16.0
"""The exponential and three passes over the data."""

_PIXEL_CYCLES = 60.0
"""Maximum and sum across the lanes of a vector, once for each pixel of a blocked map."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked and planar."""
    if not isinstance(layer.anchor.operator, Softmax):
        return ()
    return tuple(way for layout in (Layout.BLOCKED, Layout.PLANAR) for way in _lower(layer, network, isa, layout))


def _lower(layer: Layer, network: Network, isa: Isa, layout: Layout) -> tuple[Lowered, ...]:
    shape = network.shape(layer.output)
    pixels = shape[0] * shape[2] * shape[3] if layout is Layout.BLOCKED else 0
    kernel = RowKernel(
        header="softmax.hpp",
        name="softmax",
        shape_type="SoftmaxShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={},
        input_layouts=(layout,),
        input_pads=(overhang(shape, layout, isa),),
        output_layout=layout,
        cycles=_VECTOR_CYCLES * vector_count(shape, layout, isa) + _PIXEL_CYCLES * pixels,
    )
    return lower(kernel, layer, network, isa)
