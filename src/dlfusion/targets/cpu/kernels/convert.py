"""Copies from one layout to another, and to the same layout with other padding or into other storage.

No layer has this kernel: code generation puts it before and after layers.
"""

from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, vector_count

_COPY_CYCLES = 4.0
_TRANSPOSE_CYCLES = 7.0
"""For each vector of the blocked side: a transposition is log2(lanes) shuffles of one a cycle, a load and a store."""

_SCATTER_CYCLES = 1.2
"""For each element where rows are shorter than a vector."""


def convert(shape: Shape, source: Layout, target: Layout, isa: Isa) -> Lowered:
    """A call that copies rows [from, to) of one image from layout `source` to layout `target`.

    It neither reads nor writes past the width, so both sides may be arrays of the user: planar, without padding.
    Lanes past the last channel become zero when it goes from planar to blocked.
    """
    elements = shape[0] * shape[1] * shape[2] * shape[3]
    if source is target and (target is Layout.BLOCKED or shape[3] >= isa.lanes):
        cycles = _COPY_CYCLES * vector_count(shape, target, isa)
    elif shape[3] < isa.lanes:
        cycles = _SCATTER_CYCLES * elements
    else:
        cycles = _TRANSPOSE_CYCLES * vector_count(shape, Layout.BLOCKED, isa)
    return Lowered(
        header="convert.hpp",
        function=f"convert<{LAYOUT_TYPES[source]}, {LAYOUT_TYPES[target]}>",
        shape_type="ConvertShape",
        shape="{}",
        input_layouts=(source,),
        output_layout=target,
        cycles=cycles,
        input_pads=(Pads(),),
    )
