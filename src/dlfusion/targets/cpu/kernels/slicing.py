"""Parts of the channels and of the map."""

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.slice import Slice
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, vector_count

_COPY_CYCLES = 4.5
"""To copy one vector."""

_GATHER_CYCLES = 1.4
"""For each element of a vector that is collected lane by lane."""

_ELEMENT_CYCLES = 1.0
"""For each element of a planar row that is collected one by one."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked and planar."""
    operator = layer.anchor.operator
    if not isinstance(operator, Slice):
        return ()
    layouts = (Layout.BLOCKED, Layout.PLANAR)
    return tuple(way for layout in layouts for way in _lower(operator, layer, network, isa, layout))


def _lower(operator: Slice, layer: Layer, network: Network, isa: Isa, layout: Layout) -> tuple[Lowered, ...]:
    kernel = RowKernel(
        header="slice.hpp",
        name="slice",
        shape_type="SliceShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={"start": operator.starts, "step": operator.steps},
        input_layouts=(layout,),
        input_pads=(Pads(),),
        output_layout=layout,
        cycles=_vector_cycles(operator, isa, layout) * vector_count(network.shape(layer.output), layout, isa),
    )
    return lower(kernel, layer, network, isa)


def _vector_cycles(operator: Slice, isa: Isa, layout: Layout) -> float:
    if layout is Layout.PLANAR:
        return _COPY_CYCLES if operator.steps[2] == 1 else _ELEMENT_CYCLES * isa.lanes
    whole = operator.steps[0] == 1 and operator.starts[0] % isa.lanes == 0
    return _COPY_CYCLES if whole else _GATHER_CYCLES * isa.lanes
