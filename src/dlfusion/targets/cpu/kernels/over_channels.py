"""Operators that reduce all channels at each place of the map, and those that change the channels by that."""

from collections.abc import Mapping
from types import MappingProxyType

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.layer_normalize import LayerNormalize
from dlfusion.ops.log_softmax import LogSoftmax
from dlfusion.ops.lp_normalize import LpNormalize
from dlfusion.ops.operator import Operator
from dlfusion.ops.reduce_channels import ReduceChannels, Reduction
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, overhang, vector_count

_PASS_CYCLES = 1.5
"""For each vector and pass over the data, which is in the first-level cache after the first."""

_LANES_CYCLES = 25.0
"""A sum or maximum across the lanes of a vector, for each pass and pixel of a blocked map."""

_EXPONENTIAL_CYCLES = 10.0
"""For each vector of a logarithm of softmax, beside its passes."""

_REDUCTIONS: Mapping[Reduction, str] = MappingProxyType(
    {
        Reduction.MEAN: "SumOfChannels",
        Reduction.SUM: "SumOfChannels",
        Reduction.MAXIMUM: "LargestChannel",
        Reduction.MINIMUM: "SmallestChannel",
        Reduction.SUM_OF_SQUARES: "SumOfChannelSquares",
        Reduction.L1: "SumOfChannelMagnitudes",
        Reduction.L2: "NormOfChannels",
    }
)


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Blocked and planar; what is reduced to one channel becomes planar from either."""
    operator = layer.anchor.operator
    shape = network.shape(layer.reads[0].value)
    ways: tuple[Lowered, ...] = ()
    for layout in (Layout.BLOCKED, Layout.PLANAR):
        name, passes, arguments, fields = _form(operator, shape[1])
        pixels = shape[0] * shape[2] * shape[3] if layout is Layout.BLOCKED else 0
        of_vector = passes * _PASS_CYCLES + (_EXPONENTIAL_CYCLES if isinstance(operator, LogSoftmax) else 0)
        kernel = RowKernel(
            header=f"{name}.hpp",
            name=name,
            shape_type="".join(part.capitalize() for part in name.split("_")) + "Shape",
            arguments=(LAYOUT_TYPES[layout], *arguments),
            fields=fields,
            input_layouts=(layout,),
            input_pads=(overhang(shape, layout, isa),),
            output_layout=Layout.PLANAR if isinstance(operator, ReduceChannels) else layout,
            cycles=of_vector * vector_count(shape, layout, isa) + passes * _LANES_CYCLES * pixels,
        )
        ways += lower(kernel, layer, network, isa)
    return ways


def _form(operator: Operator, channels: int) -> tuple[str, int, tuple[object, ...], dict[str, object]]:
    """The kernel's name, its passes over the data, further template arguments, and members of the shape structure."""
    match operator:
        case LayerNormalize(epsilon=epsilon):
            return "layer_normalize", 4, (), {"factor": 1.0 / channels, "epsilon": float(epsilon)}
        case LpNormalize(p=p):
            return "lp_normalize", 2, (p,), {}
        case LogSoftmax():
            return "log_softmax", 3, (), {}
        case ReduceChannels(reduction=reduction):
            factor = 1.0 / channels if reduction is Reduction.MEAN else 1.0
            return "reduce_channels", 1, (_REDUCTIONS[reduction],), {"factor": factor}
        case _:
            raise NotImplementedError(f"{operator.label} does not reduce channels")
