"""Other sizes for the same elements: copied one by one, in any pair of layouts."""

from math import prod

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.reshape import Reshape
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, in_all_layouts

_CYCLES = 12.0
"""For each element."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Every pair of layouts; none if the number of images changes, because a kernel sees one image at a time."""
    shape = network.shape(layer.output)
    if not isinstance(layer.anchor.operator, Reshape) or network.shape(layer.reads[0].value)[0] != shape[0]:
        return ()

    def kernel(source: Layout, target: Layout) -> RowKernel:
        return RowKernel(
            header="reshape.hpp",
            name="reshape",
            shape_type="ReshapeShape",
            arguments=(LAYOUT_TYPES[source], LAYOUT_TYPES[target]),
            fields={},
            input_layouts=(source,),
            input_pads=(Pads(),),
            output_layout=target,
            cycles=_CYCLES * prod(shape),
        )

    return in_all_layouts(layer, network, isa, kernel)
