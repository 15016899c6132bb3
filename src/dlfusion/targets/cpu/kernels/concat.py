"""Concatenation of channels. Inputs whose producers write straight into the output are left out."""

from collections.abc import Collection
from itertools import accumulate

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.concat import Concat
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels.row_kernel import LAYOUT_TYPES, RowKernel, lower, overhang, vector_count

_INPUTS = 64
"""The most inputs: `CONCAT_INPUTS` of concat.hpp."""

_COPY_CYCLES = 4.0
"""For each vector, as measured in the second-level cache on Sapphire Rapids."""

_GATHER_CYCLES = 1.4
"""For each element of a vector that is collected lane by lane."""


def candidates(layer: Layer, network: Network, isa: Isa, written: Collection[int] = frozenset()) -> tuple[Lowered, ...]:
    """Blocked and planar.

    `written` holds the indices of inputs that lie in the output already; for each candidate they must be among its
    `writable_inputs`.
    """
    if not isinstance(layer.anchor.operator, Concat) or len(network.graph.activations(layer.anchor)) > _INPUTS:
        return ()
    return tuple(
        way
        for layout in (Layout.BLOCKED, Layout.PLANAR)
        if set(written) <= writable_inputs(layer, network, isa, layout)
        for way in _lower(layer, network, isa, layout, written)
    )


def channel_offsets(layer: Layer, network: Network) -> tuple[int, ...]:
    """The output channel at which each input begins."""
    channels = [network.shape(name)[1] for name in network.graph.activations(layer.anchor)]
    return tuple(accumulate(channels[:-1], initial=0))


def writable_inputs(layer: Layer, network: Network, isa: Isa, layout: Layout) -> frozenset[int]:
    """The inputs whose producers may write into the output, so that nothing is left to copy for them.

    An input must fill whole channel units of the output (its last unit may be incomplete if it is the last input), and
    the layer must have no epilogue, which would have to change what was written. An input listed twice, or whose value
    others overwrite, is for the caller to exclude.
    """
    if layer.epilogue:
        return frozenset()
    unit = isa.lanes if layout is Layout.BLOCKED else 1
    channels = [network.shape(name)[1] for name in network.graph.activations(layer.anchor)]
    offsets = channel_offsets(layer, network)
    return frozenset(
        index
        for index, (offset, count) in enumerate(zip(offsets, channels, strict=True))
        if offset % unit == 0 and (count % unit == 0 or index == len(channels) - 1)
    )


def _lower(layer: Layer, network: Network, isa: Isa, layout: Layout, written: Collection[int]) -> tuple[Lowered, ...]:
    names = network.graph.activations(layer.anchor)
    offsets = channel_offsets(layer, network)
    shape = network.shape(layer.output)
    cycles = 0.0
    for index, (name, offset) in enumerate(zip(names, offsets, strict=True)):
        if index not in written:
            aligned = layout is Layout.PLANAR or offset % isa.lanes == 0
            cost = _COPY_CYCLES if aligned else _GATHER_CYCLES * isa.lanes
            cycles += cost * vector_count(network.shape(name), layout, isa)
    kernel = RowKernel(
        header="concat.hpp",
        name="concat",
        shape_type="ConcatShape",
        arguments=(LAYOUT_TYPES[layout],),
        fields={
            "count": len(names),
            "first": offsets,
            "copied": ["false" if index in written else "true" for index in range(len(names))],
        },
        input_layouts=(layout,) * len(names),
        input_pads=(overhang(shape, layout, isa),) * len(names),
        output_layout=layout,
        cycles=cycles,
    )
    return lower(kernel, layer, network, isa)
