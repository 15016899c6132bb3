"""Pooling by maximum, average and norms, over windows and over whole maps."""

import numpy as np

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, vector_count
from dlfusion.targets.cpu.section import Section

_KERNEL_ROWS = 256
"""The tallest window: `POOL_KERNEL_ROWS` of pool.hpp."""

_NORMS = {1: "SumOfMagnitudes", 2: "RootOfSquares"}
"""The reductions of pool.hpp for the norms that there are kernels for."""

_TAP_CYCLES = {MaxPool: 1.2, AveragePool: 0.9, LpPool: 1.2}
"""For one vector of one window's elements, or one element of a planar window; measured on Sapphire Rapids."""

_INPUT_CYCLES = 1.5
"""For each vector of the input, to come from the second-level cache."""

_WHOLE_MAP_CYCLES = 2.2
"""For each vector of a map that is reduced as a whole."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """Windows blocked and planar, whole maps blocked."""
    match layer.anchor.operator:
        case MaxPool() | AveragePool() | LpPool() as operator:
            reduction = _reduction(operator)
            if reduction is None or operator.kernel[0] > _KERNEL_ROWS:
                return ()
            layouts = (Layout.BLOCKED, Layout.PLANAR)
            return tuple(
                way for layout in layouts for way in _windows(operator, reduction, layer, network, isa, layout)
            )
        case GlobalAveragePool():
            return _whole_map("Sum", True, layer, network, isa)
        case GlobalMaxPool():
            return _whole_map("Maximum", False, layer, network, isa)
        case GlobalLpPool(p) if p in _NORMS:
            return _whole_map(_NORMS[p], False, layer, network, isa)
        case _:
            return ()


def _reduction(operator: MaxPool | AveragePool | LpPool) -> str | None:
    """The reduction of pool.hpp; None if there is none."""
    match operator:
        case LpPool(p=p):
            return _NORMS.get(p)
        case _:
            return "Maximum" if isinstance(operator, MaxPool) else "Sum"


def _windows(
    operator: MaxPool | AveragePool | LpPool, reduction: str, layer: Layer, network: Network, isa: Isa, layout: Layout
) -> tuple[Lowered, ...]:
    section = Section()
    source = network.shape(layer.reads[0].value)
    shape = network.shape(layer.output)
    row_factors = column_factors = -1
    if isinstance(operator, AveragePool):
        row_factors = section.append((1.0 / np.array(operator.row_counts(source[2]))).astype(np.float32))
        column_factors = section.append((1.0 / np.array(operator.column_counts(source[3]))).astype(np.float32))
    elements = vector_count(shape, layout, isa) if layout is Layout.BLOCKED else int(np.prod(shape))
    taps = operator.kernel[0] * operator.kernel[1]
    kernel = RowKernel(
        header="pool.hpp",
        name="pool",
        shape_type="PoolShape",
        arguments=(LAYOUT_TYPES[layout], reduction),
        fields={
            "kernel_height": operator.kernel[0],
            "kernel_width": operator.kernel[1],
            "stride_height": operator.strides[0],
            "stride_width": operator.strides[1],
            "pad_top": operator.pads[0],
            "pad_left": operator.pads[1],
            "dilation_height": operator.dilations[0],
            "dilation_width": operator.dilations[1],
            "row_factors": row_factors,
            "column_factors": column_factors,
        },
        input_layouts=(layout,),
        input_pads=(Pads(),),
        output_layout=layout,
        cycles=elements * (2.0 + taps * _TAP_CYCLES[type(operator)])
        + _INPUT_CYCLES * vector_count(source, layout, isa),
        section=section,
    )
    return lower(kernel, layer, network, isa)


def _whole_map(reduction: str, averages: bool, layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    source = network.shape(layer.reads[0].value)
    kernel = RowKernel(
        header="pool.hpp",
        name="global_pool",
        shape_type="GlobalPoolShape",
        arguments=(reduction,),
        fields={"factor": 1.0 / (source[2] * source[3]) if averages else 1.0},
        input_layouts=(Layout.BLOCKED,),
        input_pads=(Pads(),),
        output_layout=Layout.BLOCKED,
        cycles=_WHOLE_MAP_CYCLES * vector_count(source, Layout.BLOCKED, isa),
    )
    return lower(kernel, layer, network, isa)
