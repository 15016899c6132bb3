"""Another order of the axes of each image: copied along output rows, in any pair of layouts."""

from math import prod

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.transpose import Transpose
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, in_all_layouts
from dlfusion.targets.cpu.section import initializer

_CYCLES = 2.0
"""For each element."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Every pair of layouts."""
    operator = layer.anchor.operator
    if not isinstance(operator, Transpose):
        return ()

    def kernel(source: Layout, target: Layout) -> RowKernel:
        return RowKernel(
            header="transpose.hpp",
            name="transpose_axes",
            shape_type="TransposeShape",
            arguments=(LAYOUT_TYPES[source], LAYOUT_TYPES[target]),
            fields={"order": initializer(*operator.order)},
            input_layouts=(source,),
            input_pads=(Pads(),),
            output_layout=target,
            cycles=_CYCLES * prod(network.shape(layer.output)),
        )

    return in_all_layouts(layer, network, isa, kernel)
