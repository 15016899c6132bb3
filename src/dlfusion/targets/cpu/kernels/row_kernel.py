"""What the kernels that sweep over rows (`sweep.hpp`) have in common: how they are described to the code generator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.operator import Shape
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels.epilogue import Place, build
from dlfusion.targets.cpu.precision import Storage
from dlfusion.targets.cpu.section import Section, initializer

LAYOUT_TYPES = {Layout.BLOCKED: "Blocked", Layout.PLANAR: "Planar"}
"""The C++ tag type of each layout."""

EPILOGUE_CYCLES = 0.75
"""What one epilogue operation costs for a vector that is in a register anyway; measured on Sapphire Rapids."""


@dataclass(frozen=True)
class RowKernel:
    """A kernel that writes whole vectors of one layout and ends with the layer's epilogue.

    `arguments` are the template arguments before the epilogue, `fields` the members of the shape structure before the
    epilogue's steps, `storage` how the weights in `section` are stored, `scratch_floats` the memory that a call works
    in. `input_layouts` and `input_pads` are those of the anchor's activations. `cycles` leaves the epilogue out.
    """

    name: str
    shape_type: str
    arguments: Sequence[object]
    fields: Mapping[str, object]
    input_layouts: Sequence[Layout]
    input_pads: Sequence[Pads]
    output_layout: Layout
    cycles: float
    header: str
    section: Section = field(default_factory=Section)
    storage: Storage = Storage.FLOAT32
    scratch_floats: int = 0


def lower(kernel: RowKernel, layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """The finished description, or nothing if the layer's epilogue is longer than kernels support."""
    shape = network.shape(layer.output)
    tail = overhang(shape, kernel.output_layout, isa)
    code = build(layer, network.graph, kernel.section, Place(isa.lanes, kernel.output_layout, tail.right))
    if code is None:
        return ()
    operands = layer.reads[len(kernel.input_layouts) :]
    operand_pads = [tail if network.shape(read.value)[3] == shape[3] else Pads() for read in operands]
    arguments = ", ".join([*[str(argument) for argument in kernel.arguments], code.type])
    return (
        Lowered(
            header=kernel.header,
            function=f"{kernel.name}<{arguments}{kernel.storage.template_arguments}>",
            shape_type=kernel.shape_type,
            shape=initializer(**kernel.fields, steps=code.steps),
            input_layouts=(*kernel.input_layouts, *[kernel.output_layout] * len(operands)),
            output_layout=kernel.output_layout,
            cycles=kernel.cycles + vector_count(shape, kernel.output_layout, isa) * EPILOGUE_CYCLES * code.length,
            input_pads=(*kernel.input_pads, *operand_pads),
            output_pads=tail,
            constants=kernel.section,
            scratch_floats=kernel.scratch_floats,
        ),
    )


def in_all_layouts(
    layer: Layer, network: Network, isa: Isa, kernel: Callable[[Layout, Layout], RowKernel | None]
) -> tuple[Lowered, ...]:
    """The ways to run a layer of one activation, for each pair of its layout and the output's that has a kernel."""
    kernels = [kernel(source, target) for source in Layout for target in Layout]
    return tuple(way for made in kernels if made is not None for way in lower(made, layer, network, isa))


def overhang(shape: Shape, layout: Layout, isa: Isa) -> Pads:
    """How far vectors reach past the width: only over planar rows that are shorter than a vector.

    Longer planar rows end with a vector that overlaps the one before it.
    """
    return Pads(0, max(0, isa.lanes - shape[3])) if layout is Layout.PLANAR else Pads()


def vector_count(shape: Shape, layout: Layout, isa: Isa) -> int:
    """How many vectors the activation takes."""
    batch, channels, height, width = shape
    if layout is Layout.BLOCKED:
        return batch * ceil(channels / isa.lanes) * height * width
    return batch * channels * height * ceil(width / isa.lanes)
