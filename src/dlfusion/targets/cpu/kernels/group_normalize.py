"""Normalization of groups of channels over the whole map."""

from math import ceil

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.group_normalize import GroupNormalize
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import RowKernel, lower, vector_count

_CYCLES = 8.0
"""For each vector: four passes over a map that is in the second-level cache at best."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked."""
    operator = layer.anchor.operator
    if not isinstance(operator, GroupNormalize):
        return ()
    shape = network.shape(layer.output)
    kernel = RowKernel(
        header="group_normalize.hpp",
        name="group_normalize",
        shape_type="GroupNormalizeShape",
        arguments=(),
        fields={"group_size": shape[1] // operator.groups, "epsilon": float(operator.epsilon)},
        input_layouts=(Layout.BLOCKED,),
        input_pads=(Pads(),),
        output_layout=Layout.BLOCKED,
        cycles=_CYCLES * vector_count(shape, Layout.BLOCKED, isa),
        scratch_floats=3 * ceil(shape[1] / isa.lanes) * isa.lanes,
    )
    return lower(kernel, layer, network, isa)
