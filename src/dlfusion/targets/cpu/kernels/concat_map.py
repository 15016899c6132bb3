"""Concatenation along the height or the width."""

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, vector_count

_INPUTS = 64
"""The most inputs: `CONCAT_MAP_INPUTS` of concat_map.hpp."""

_CYCLES = 4.5
"""To copy one vector."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked and planar."""
    operator = layer.anchor.operator
    if not isinstance(operator, ConcatMap) or len(network.graph.activations(layer.anchor)) > _INPUTS:
        return ()
    layouts = (Layout.BLOCKED, Layout.PLANAR)
    return tuple(way for layout in layouts for way in _lower(operator, layer, network, isa, layout))


def _lower(operator: ConcatMap, layer: Layer, network: Network, isa: Isa, layout: Layout) -> tuple[Lowered, ...]:
    shapes = network.graph.activation_shapes(layer.anchor)
    kernel = RowKernel(
        header="concat_map.hpp",
        name="concat_rows" if operator.axis == 2 else "concat_columns",
        shape_type="ConcatMapShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={"count": len(shapes), "first": operator.offsets(shapes)},
        input_layouts=(layout,) * len(shapes),
        input_pads=(Pads(),) * len(shapes),
        output_layout=layout,
        cycles=_CYCLES * vector_count(network.shape(layer.output), layout, isa),
    )
    return lower(kernel, layer, network, isa)
