"""Writes one block as a C++ function: the walk of a core down its band, and what each layer does on the way."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlfusion.codegen.names import NameTable
from dlfusion.codegen.writer import Writer, comment
from dlfusion.layers.layer import Layer
from dlfusion.ops.window import IDENTITY, Window
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import RowRange, Segment
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered
from dlfusion.targets.cpu.kernels.convert import convert
from dlfusion.targets.cpu.placement import Home, Kind, PlacedBlock
from dlfusion.targets.cpu.stages import Staged

_TARGET_LAYOUT_OF_USER = Layout.PLANAR


@dataclass(frozen=True)
class Store:
    """A copy of the owned rows of `value` to another home, by the kernel `lowered`."""

    value: str
    home: Home
    lowered: Lowered


@dataclass(frozen=True)
class BlockCode:
    """What is known about a block when its function is written."""

    index: int
    placed: PlacedBlock
    staged: Staged
    weight_offsets: Mapping[int, int]
    isa: Isa

    @property
    def function(self) -> str:
        """The name of the generated function."""
        return f"block_{self.index}"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The staged layers of the block, conversions included."""
        return tuple(self.staged.network.layers[i] for i in self.placed.block.layers)

    @property
    def stores(self) -> tuple[Store, ...]:
        """The block's copies to tensors and to the user's arrays."""
        return tuple(
            Store(value, home, store_kernel(self.staged, value, home, self.isa)) for value, home in self.placed.stores
        )

    def lowered(self, layer: Layer) -> Lowered:
        """How a layer of this block runs."""
        return self.placed.lowered[layer.index - self.placed.block.first]

    def kernels(self) -> Iterator[Lowered]:
        """Every kernel that the function calls."""
        yield from self.placed.lowered
        yield from (store.lowered for store in self.stores)


def store_kernel(staged: Staged, value: str, home: Home, isa: Isa) -> Lowered:
    """The kernel that copies rows of `value` to `home`."""
    layout = staged.layouts[value]
    target = layout if home.kind is Kind.TENSOR else _TARGET_LAYOUT_OF_USER
    return convert(staged.network.shape(value), layout, target, isa)


def write_block(writer: Writer, code: BlockCode) -> None:
    """Writes the comment and the function of one block."""
    _BlockWriter(writer, code).write()


def write_exports(writer: Writer, staged: Staged, exports: Sequence[tuple[Home, Store]]) -> None:
    """Writes the function that copies model outputs to the user's arrays after the last block."""
    with writer.block("void export_outputs(const Run& run, int)"):
        for index, (source, store) in enumerate(exports):
            images, _, height, _ = staged.network.shape(store.value)
            writer.line(f"static const {store.lowered.shape_type} store_{index}_shape = {store.lowered.shape};")
            with writer.block(f"for (long image = 0; image < {images}; ++image)"):
                writer.line(f"const Rows source = {rows_of(staged, store.value, source, 'image')};")
                writer.line(f"const Rows target = {rows_of(staged, store.value, store.home, 'image')};")
                call = f"{{&source, &target, nullptr, 0, {height}, {{0, 1}}}}"
                writer.line(f"{store.lowered.function}(store_{index}_shape, {call});")


def rows_of(staged: Staged, value: str, home: Home, image: str) -> str:
    """The C++ initializer of the `Rows` of a value in one of its homes; `image` is the text of the image's index."""
    images, channels, height, width = staged.network.shape(value)
    row = home.geometry
    base = {
        Kind.INPUT: f"const_cast<float*>(run.inputs[{home.offset}])",
        Kind.OUTPUT: f"run.outputs[{home.offset}]",
        Kind.TENSOR: f"run.tensors + {home.offset + row.origin}",
        Kind.RING: f"run.scratch + {home.offset + row.origin}",
    }[home.kind]
    if home.image_stride and images > 1:
        base += f" + {image} * {home.image_stride}L"
    return (
        f"{{{base}, {row.row_stride}, {row.channel_stride}, {home.capacity}, {height}, {width}, {channels}, "
        f"{row.pads.left}, {row.pads.right}}}"
    )


class _BlockWriter:
    def __init__(self, writer: Writer, code: BlockCode) -> None:
        self._out = writer
        self._code = code
        self._block = code.placed.block
        self._schedule = code.placed.schedule
        self._names = NameTable(_reserved(code))
        self._stores = code.stores
        # Cores that split channels share one walk over all rows.
        self._splits_channels = self._block.partition is Partition.CHANNELS and self._block.cores > 1
        self._one_step = self._schedule.is_one_step

    def write(self) -> None:
        self._comment()
        core = "" if self._block.cores == 1 else " core"
        with self._out.block(f"void {self._code.function}(const Run& run, int{core})"):
            self._shapes()
            segments = self._schedule.segments
            own_bands = self._block.cores > 1 and not self._splits_channels
            if len(segments) == 1:
                self._out.line(f"static const {self._segment_type} segment = {self._segment(segments[0])};")
                self._body()
            else:
                self._segments(own_bands)
                bounds = ("first_segment[core]", "first_segment[core + 1]") if own_bands else ("0", str(len(segments)))
                with self._out.block(f"for (int index = {bounds[0]}; index < {bounds[1]}; ++index)"):
                    self._out.line(f"const {self._segment_type}& segment = segments[index];")
                    self._body()
        self._out.line()

    def _body(self) -> None:
        self._places()
        if self._one_step:
            for index, layer in enumerate(self._code.layers):
                self._call(layer, f"segment.layers[{index}].begin", f"segment.layers[{index}].end")
        else:
            self._walk()

    # --- names ---------------------------------------------------------------------------------------------------

    def _value(self, value: str) -> str:
        return self._names.name(f"value {value}", value)

    def _of(self, layer: Layer, what: str) -> str:
        """The identifier of something that belongs to a layer, such as its `shape`."""
        return self._names.name(f"{what} {layer.index}", f"{layer.name} {what}")

    @property
    def _segment_type(self) -> str:
        return f"Segment<{len(self._code.layers)}, {len(self._stores)}>"

    # --- parts of the function -----------------------------------------------------------------------------------

    def _comment(self) -> None:
        block, staged = self._block, self._code.staged
        share = "a range of output channels each" if self._splits_channels else "a band of rows each"
        cores = "1 core" if block.cores == 1 else f"{block.cores} cores, {share}"
        steps = "" if self._one_step else f", in steps of {_rows_text(block.step_rows)}"
        self._out.line(f"// Block {self._code.index}: {cores}{steps}.")
        for layer in self._code.layers:
            shapes = " + ".join(_dimensions(staged.network.shape(read.value)) for read in layer.reads)
            chain = ", ".join(node.operator.label for node in layer.nodes)
            origins = ", ".join(origin for node in layer.nodes for origin in node.origins)
            text = f"{chain}: {shapes} -> {_dimensions(staged.network.shape(layer.output))}"
            self._out.line("//   " + comment(f"{text}   [{origins}]" if origins else text))
        if block.reason:
            self._out.line(f"// Ends here: {comment(block.reason)}.")

    def _shapes(self) -> None:
        for layer in self._code.layers:
            lowered = self._code.lowered(layer)
            self._out.wrapped(f"static const {lowered.shape_type} {self._of(layer, 'shape')} = {lowered.shape};")
        for index, store in enumerate(self._stores):
            self._out.line(f"static const {store.lowered.shape_type} store_{index}_shape = {store.lowered.shape};")

    def _segments(self, own_bands: bool) -> None:
        segments = self._schedule.segments
        with self._out.block(f"static const {self._segment_type} segments[] =", "};"):
            for segment in segments:
                self._out.line(f"{self._segment(segment)},")
        if own_bands:
            starts = [
                next((i for i, segment in enumerate(segments) if segment.core >= core), len(segments))
                for core in range(self._block.cores + 1)
            ]
            self._out.line(f"static const int first_segment[] = {{{', '.join(map(str, starts))}}};  // of each core")

    def _segment(self, segment: Segment) -> str:
        layers = ", ".join(_range(rows) for rows in segment.produced)
        owned = ", ".join(_range(self._owned(segment, store.value)) for store in self._stores) or "{0, 0}"
        start = min(segment.first - segment.lead + self._block.step_rows, segment.end)
        return f"{{{segment.image}, {start}, {segment.end}, {{{layers}}}, {{{owned}}}}}"

    def _places(self) -> None:
        for value, home in self._code.placed.homes.items():
            self._place(self._value(value), value, home)
        for layer in self._code.layers:
            reads = ", ".join(self._value(read.value) for read in layer.reads)
            self._out.line(f"const Rows {self._of(layer, 'inputs')}[] = {{{reads}}};")
        for index, store in enumerate(self._stores):
            self._place(f"store_{index}", store.value, store.home)

    def _place(self, name: str, value: str, home: Home) -> None:
        shape = self._code.staged.network.shape(value)
        text = rows_of(self._code.staged, value, home, "segment.image")
        note = f"a ring of {_rows_text(home.capacity)}" if home.kind is Kind.RING else f"the model's {home.kind}"
        note = "" if home.kind is Kind.TENSOR else f", {note}"
        self._out.line(f"const Rows {name} = {text};  // {_dimensions(shape)}{note}")

    def _walk(self) -> None:
        for index, layer in enumerate(self._code.layers):
            self._out.line(f"Progress {self._of(layer, 'rows')}(segment.layers[{index}]);")
        with self._out.block(f"for (int clock = segment.start;; clock += {self._block.step_rows})"):
            self._out.line("const bool last = clock >= segment.end;")
            for layer in reversed(self._code.layers):
                due = self._due(layer)
                self._out.line(f"const int {self._of(layer, 'due')} = {due};")
            for layer in self._code.layers:
                rows = self._of(layer, "rows")
                with self._out.block(f"if ({rows}.advance({self._of(layer, 'due')}, last))"):
                    self._call(layer, f"{rows}.from", f"{rows}.to")
            self._out.line("if (last) break;")

    def _due(self, layer: Layer) -> str:
        """One past the last row of `layer` that the rows due below it read."""
        terms = []
        flow = self._schedule.flow
        if layer.output in flow.outputs:
            height = self._code.staged.network.shape(layer.output)[2]
            reference = flow.reference_height
            terms.append("clock" if height == reference else f"floor_divide(clock * {height}L, {reference})")
        for reader in self._code.layers:
            windows = dict.fromkeys(read.rows for read in reader.reads if read.value == layer.output)
            terms += [_window_end(f"{self._of(reader, 'due')}", window) for window in windows]
        terms = list(dict.fromkeys(terms))
        due = terms[0]
        for term in terms[1:]:
            due = f"larger({due}, {term})"
        return f"smaller({due}, {self._of(layer, 'rows')}.end)"

    def _call(self, layer: Layer, begin: str, end: str) -> None:
        staged = self._code.staged
        lowered = self._code.lowered(layer)
        splits = self._splits_channels and not staged.is_conversion(layer)
        part = f"core, {self._block.cores}" if splits else "0, 1"
        offset = self._code.weight_offsets.get(layer.index)
        weights = "nullptr" if offset is None else f"run.weights + {offset}"
        scratch = f", run.scratch + {self._code.placed.kernel_scratch}" if lowered.scratch_floats else ""
        self._out.line(f"{lowered.function}(")
        self._out.wrapped(
            f"    {self._of(layer, 'shape')}, "
            f"{{{self._of(layer, 'inputs')}, &{self._value(layer.output)}, {weights}, {begin}, {end}, "
            f"{{{part}}}{scratch}}});"
        )
        for index, store in enumerate(self._stores):
            if store.value == layer.output:
                owned = f"segment.owned[{index}]"
                self._out.line(f"{store.lowered.function}(")
                self._out.wrapped(
                    f"    store_{index}_shape, {{&{self._value(store.value)}, &store_{index}, nullptr, "
                    f"larger({begin}, {owned}.begin), smaller({end}, {owned}.end), {{0, 1}}}});"
                )

    def _owned(self, segment: Segment, value: str) -> RowRange:
        return segment.owned[self._schedule.flow.values.index(value)]


def _reserved(code: BlockCode) -> set[str]:
    """The identifiers that a block's function uses without declaring them."""
    kernels = {word for lowered in code.kernels() for word in re.findall(r"\w+", lowered.function)}
    fixed = "run core segment segments first_segment index clock last"
    helpers = "window_end floor_divide smaller larger"
    stores = {f"store_{i}{suffix}" for i in range(len(code.stores)) for suffix in ("", "_shape")}
    return kernels | set(fixed.split()) | set(helpers.split()) | stores


def _dimensions(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape if shape[0] > 1 else shape[1:]))


def _rows_text(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _range(rows: RowRange) -> str:
    return f"{{{rows.first}, {rows.end}}}"


def _window_end(due: str, window: Window) -> str:
    if window == IDENTITY:
        return due
    divisor = f", {window.divisor}" if window.divisor != 1 else ""
    return f"window_end({due}, {window.multiplier}, {window.last_offset}{divisor})"
