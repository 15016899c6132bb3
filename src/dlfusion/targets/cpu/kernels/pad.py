"""Padding of the map, or cropping."""

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import resize
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, vector_count

_CYCLES = 4.5
"""To copy one vector."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked and planar."""
    operator = layer.anchor.operator
    if not isinstance(operator, Pad):
        return ()
    if operator.mode is not PadMode.CONSTANT:
        _, _, height, width = network.shape(layer.reads[0].value)
        return resize.copies(layer, network, isa, operator.source_rows(height), operator.source_columns(width))
    layouts = (Layout.BLOCKED, Layout.PLANAR)
    return tuple(way for layout in layouts for way in _lower(operator, layer, network, isa, layout))


def _lower(operator: Pad, layer: Layer, network: Network, isa: Isa, layout: Layout) -> tuple[Lowered, ...]:
    kernel = RowKernel(
        header="pad.hpp",
        name="pad",
        shape_type="PadShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={"top": operator.top, "left": operator.left, "value": float(operator.value)},
        input_layouts=(layout,),
        input_pads=(Pads(),),
        output_layout=layout,
        cycles=_CYCLES * vector_count(network.shape(layer.output), layout, isa),
    )
    return lower(kernel, layer, network, isa)
