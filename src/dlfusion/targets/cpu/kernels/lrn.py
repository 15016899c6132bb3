"""Local response normalization over channels."""

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.lrn import Lrn
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import RowKernel, lower, vector_count

_CYCLES = 42.0
"""For each vector: a logarithm, an exponential and the shuffles of the window."""

_MOST_CHANNELS = 16
"""To one side; each channel of a window is a shuffle and an addition in the code."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked; none if the window is wider than any that models have."""
    operator = layer.anchor.operator
    if not isinstance(operator, Lrn) or operator.channels_after > _MOST_CHANNELS:
        return ()
    kernel = RowKernel(
        header="lrn.hpp",
        name="lrn",
        shape_type="LrnShape",
        arguments=(operator.channels_before, operator.channels_after),
        fields={
            "alpha": operator.alpha / operator.size,
            "beta": float(operator.beta),
            "bias": float(operator.bias),
        },
        input_layouts=(Layout.BLOCKED,),
        input_pads=(Pads(),),
        output_layout=Layout.BLOCKED,
        cycles=_CYCLES * vector_count(network.shape(layer.output), Layout.BLOCKED, isa),
    )
    return lower(kernel, layer, network, isa)
