"""Runs single kernels: compiles instances, calls them with NumPy data in their layouts, compares with the reference.

Everything a kernel must not read is NaN (rows outside a ring, lanes past the last channel, guards between tensors);
everything it must not write is checked afterwards.
"""

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import Graph, Node, Port
from dlfusion.layers.layer import Features, Layer, Network, Read
from dlfusion.ops.operator import Operator, Shape
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from tests.support.compilers import cxx
from tests.support.isas import NARROW

Array = NDArray[np.float32]
INCLUDE = Path(__file__).parents[3] / "src/dlfusion/targets/cpu/include"
GUARD = 64
"""Floats of guard before and after every tensor."""


class Rows(ctypes.Structure):
    """`Rows` of rows.hpp."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("row_stride", ctypes.c_long),
        ("channel_stride", ctypes.c_long),
        ("capacity", ctypes.c_int),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("pad_left", ctypes.c_int),
        ("pad_right", ctypes.c_int),
    ]


@dataclass(frozen=True)
class Step:
    """A pointwise operator of the epilogue, with its constants and the shape of its operand, if it has one."""

    operator: Operator
    parameters: tuple[Array, ...] = ()
    operand: Shape | None = None


def single_layer(
    operator: Operator,
    inputs: Sequence[Shape],
    parameters: Sequence[Array] = (),
    epilogue: Sequence[Step] = (),
) -> Network:
    """A network of one layer: `operator` on fresh inputs, followed by `epilogue`."""
    constants: dict[str, Array] = {f"c{i}": array for i, array in enumerate(parameters)}
    shapes: dict[str, Shape] = {f"x{i}": shape for i, shape in enumerate(inputs)}
    output = operator.output_shape(inputs, [array.shape for array in parameters])
    shapes["y0"] = output
    anchor = Node("anchor", operator, (*[f"x{i}" for i in range(len(inputs))], *constants), "y0")
    reads = [
        Read(f"x{i}", rows, columns)
        for i, (rows, columns) in enumerate(
            zip(operator.row_windows(inputs), operator.column_windows(inputs), strict=True)
        )
    ]
    nodes = []
    for index, step in enumerate(epilogue):
        names = [f"y{index}"]
        step_shapes = [output]
        if step.operand is not None:
            name = f"x{len(reads)}"
            shapes[name] = step.operand
            names.append(name)
            step_shapes.append(step.operand)
            windows = step.operator.row_windows(step_shapes)[1], step.operator.column_windows(step_shapes)[1]
            reads.append(Read(name, *windows))
        for number, array in enumerate(step.parameters):
            constants[f"e{index}_{number}"] = array
            names.append(f"e{index}_{number}")
        shapes[f"y{index + 1}"] = output
        nodes.append(Node(f"epilogue{index}", step.operator, tuple(names), f"y{index + 1}"))
    result = f"y{len(epilogue)}"
    features = Features(0, shapes["x0"][1], output[1], output[2], output[3], 0, 0, 0)
    layer = Layer(0, "layer", anchor, tuple(nodes), tuple(reads), result, features)
    ports = tuple(Port(read.value, read.value, shapes[read.value]) for read in reads)
    graph = Graph("single", ports, (Port("y", result, output),), (anchor, *nodes), constants, shapes)
    return Network(graph, (layer,))


class Tensor:
    """One image in memory, whole or as a ring of `capacity` rows; whatever was not written is NaN."""

    def __init__(self, shape: tuple[int, int, int], layout: Layout, pads: Pads, lanes: int, capacity: int) -> None:
        self.channels, self.height, self.width = shape
        self.layout, self.pads, self.capacity = layout, pads, capacity
        self.lanes = lanes if layout is Layout.BLOCKED else 1
        self.units = -(-self.channels // self.lanes)
        columns = pads.left + self.width + pads.right
        unit_floats = columns * self.lanes
        if layout is Layout.PLANAR:
            unit_floats += -unit_floats % 16
        self.row_floats = self.units * unit_floats + (-self.units * unit_floats) % 16
        size = 2 * GUARD + capacity * self.row_floats + 16
        memory = np.full(size, np.nan, np.float32)
        skip = (-memory.ctypes.data // 4) % 16
        self.memory = memory[skip:]
        body = self.memory[GUARD : GUARD + capacity * self.row_floats].reshape(capacity, self.row_floats)
        self.body = body
        cells = body[:, : self.units * unit_floats].reshape(capacity, self.units, unit_floats)
        self.cells = cells[:, :, : columns * self.lanes].reshape(capacity, self.units, columns, self.lanes)
        self.channel_stride = unit_floats

    def rows(self) -> Rows:
        """What the kernel is handed."""
        data = self.body.ctypes.data + 4 * self.pads.left * self.lanes
        sizes = (self.capacity, self.height, self.width, self.channels, self.pads.left, self.pads.right)
        return Rows(data, self.row_floats, self.channel_stride, *sizes)

    def write(self, image: Array, first: int, end: int) -> None:
        """Puts rows [first, end) of the C x H x W image into their slots, with zero pad columns."""
        padded = np.full((self.units * self.lanes, end - first, self.width), np.nan, np.float32)
        padded[: self.channels] = image[:, first:end]
        blocked = padded.reshape(self.units, self.lanes, end - first, self.width).transpose(2, 0, 3, 1)
        slots = np.arange(first, end) % self.capacity
        self.cells[slots] = 0.0
        self.cells[slots, :, self.pads.left : self.pads.left + self.width] = blocked

    def read(self, first: int, end: int) -> Array:
        """Rows [first, end) as C x rows x W; checks that their pad columns are zero."""
        picked = self.cells[np.arange(first, end) % self.capacity]
        before, after = picked[:, :, : self.pads.left], picked[:, :, self.pads.left + self.width :]
        if before.any() or after.any():
            raise AssertionError("pad columns of the output are not zero")
        image = picked[:, :, self.pads.left : self.pads.left + self.width].transpose(1, 3, 0, 2)
        return np.ascontiguousarray(image.reshape(self.units * self.lanes, end - first, self.width)[: self.channels])

    def check_guards(self) -> None:
        """Raises if anything around the tensor was written."""
        size = self.body.size
        if not (np.isnan(self.memory[:GUARD]).all() and np.isnan(self.memory[GUARD + size :]).all()):
            raise AssertionError("the kernel wrote outside its output")


@dataclass(frozen=True)
class Case:
    """A kernel instance and how to drive it.

    `step_rows` output rows are produced per call, in bands of the output given by `rows`; with `rings` every tensor
    holds only the rows that one call needs. Each call is made once for each of `parts` channel parts. `extra_pads`
    widens all pads beyond what the kernel asks for. Inputs are normal numbers times `scale` plus `offset`.
    """

    network: Network
    lowered: Lowered
    step_rows: int | None = None
    rings: bool = False
    parts: int = 1
    extra_pads: int = 0
    scale: float = 1.0
    offset: float = 0.0
    rows: tuple[int, int] | None = None
    images: list[Array] = field(default_factory=list)


Function = Callable[..., None]


def compiler_command(clang: bool = False) -> list[str]:
    """The compiler that tests use: the one that DLFusion finds, or clang from the ziglang wheel."""
    return [sys.executable, "-m", "ziglang", "c++"] if clang else list(cxx())


def translation_unit(lowered: Sequence[Lowered]) -> str:
    """C++ that instantiates each kernel and exports it as `case_<index>`."""
    lines = [f'#include "{header}"' for header in dict.fromkeys(item.header for item in lowered)]
    lines += ["namespace dlfusion {}", "using namespace dlfusion;"]
    for index, item in enumerate(lowered):
        lines += [
            f"static const {item.shape_type} shape_{index} = {item.shape};",
            f'extern "C" void case_{index}(const Rows* inputs, const Rows* output, const float* constants,',
            "                       int from, int to, int part, int parts) {",
            f"  alignas(64) static float scratch[{max(1, item.scratch_floats)}];",
            "  const Call call = {inputs, output, constants, from, to, {part, parts}, scratch};",
            f"  {item.function}(shape_{index}, call);",
            "}",
        ]
    return "\n".join(lines) + "\n"


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"dlfusion-kernel-tests-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder


def compile_library(lowered: Sequence[Lowered], isa: Isa, clang: bool = False, more: str = "") -> ctypes.CDLL:
    """A library with one function for each kernel, and the C++ text `more`; warnings are errors.

    Libraries are kept by content in the temporary folder.
    """
    source = translation_unit(lowered) + more
    command = [*compiler_command(clang), "-std=c++17", "-O3", "-fPIC", "-shared", *isa.flags]
    command += ["-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}"]
    state = hashlib.sha256(repr(command).encode() + source.encode())
    for header in sorted(INCLUDE.glob("*.hpp")):
        state.update(header.read_bytes())
    stem = _folder() / state.hexdigest()[:24]
    library = stem.with_suffix(".so")
    if not library.exists():
        text = stem.with_suffix(f".{os.getpid()}.cpp")
        text.write_text(source)
        built = stem.with_suffix(f".{os.getpid()}.so")
        done = subprocess.run([*command, str(text), "-o", str(built)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} {text}\n{done.stderr[:6000]}")
        built.rename(library)
        text.unlink()
    return ctypes.CDLL(str(library))


@functools.cache
def supports(isa_name: str) -> bool:
    """Whether this machine can run the instruction set."""
    if isa_name == NARROW.name:
        return True
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    return {"avx512": "avx512dq", "avx2": "fma", "avx512_bf16": "avx512_bf16"}[isa_name] in flags


def check(cases: Sequence[Case], isa: Isa, clang: bool = False, tolerance: float = 1e-5) -> None:
    """Compiles all cases into one library and compares each with the reference.

    `tolerance` is the largest difference allowed, as a share of the output's largest magnitude.
    """
    library = compile_library([case.lowered for case in cases], isa, clang)
    if not supports(isa.name):
        return
    for index, case in enumerate(cases):
        actual, expected = run(case, getattr(library, f"case_{index}"), isa)
        difference = np.max(np.abs(actual - expected), initial=0.0)
        scale = max(float(np.max(np.abs(expected), initial=0.0)), 1e-6)
        if not difference <= tolerance * scale:
            place = np.unravel_index(np.argmax(~(np.abs(actual - expected) <= tolerance * scale)), actual.shape)
            raise AssertionError(
                f"case {index} {case.lowered.function} {case.lowered.shape}: |difference| {difference} "
                f"of scale {scale}, first at {place}: {actual[place]} instead of {expected[place]}"
            )


Reference = Callable[[Network, dict[str, Array]], NDArray[np.floating]]
"""A network's result for its inputs by name."""


def run(
    case: Case, function: Function, isa: Isa, expect: Reference | None = None
) -> tuple[Array, NDArray[np.floating]]:
    """The kernel's and the reference's output rows, 1 x C x rows x W, on seeded random data.

    The reference is that of the operators, or `expect`.
    """
    (layer,) = case.network.layers
    generator = np.random.default_rng(7)
    arrays = {read.value: _normal(generator, case, case.network.shape(read.value)) for read in layer.reads}
    _, channels, height, width = case.network.shape(layer.output)
    first, end = case.rows or (0, height)
    step = case.step_rows or (end - first)
    inputs = []
    for read, layout, pads in zip(layer.reads, case.lowered.input_layouts, case.lowered.input_pads, strict=True):
        shape = case.network.shape(read.value)
        capacity = shape[2]
        if case.rings:
            capacity = max(
                min(read.rows.end(min(row + step, end)), shape[2]) - max(read.rows.first(row), 0)
                for row in range(first, end, step)
            )
        inputs.append(Tensor(shape[1:], layout, _wider(pads, case), isa.lanes, max(capacity, 1)))
    capacity = step if case.rings else height
    pads = _wider(case.lowered.output_pads, case)
    output = Tensor((channels, height, width), case.lowered.output_layout, pads, isa.lanes, capacity)
    constants = aligned(case.lowered.constants.finish())
    written = [0] * len(inputs)
    pieces = []
    for row in range(first, end, step):
        row_end = min(row + step, end)
        for index, (read, tensor) in enumerate(zip(layer.reads, inputs, strict=True)):
            lowest = max(read.rows.first(row), 0, written[index])
            highest = min(max(read.rows.end(row_end), 0), tensor.height)
            if highest > lowest:
                tensor.write(arrays[read.value][0], lowest, highest)
                written[index] = highest
        input_rows = (Rows * len(inputs))(*[tensor.rows() for tensor in inputs])
        output_rows = output.rows()
        for part in range(case.parts):
            function(
                ctypes.byref(input_rows),
                ctypes.byref(output_rows),
                ctypes.c_void_p(constants.ctypes.data),
                row,
                row_end,
                part,
                case.parts,
            )
        pieces.append(output.read(row, row_end))
    output.check_guards()
    return np.concatenate(pieces, axis=1)[None], (expect or reference)(case.network, arrays)[:, :, first:end]


def _normal(generator: np.random.Generator, case: Case, shape: Shape) -> Array:
    numbers: Array = (generator.standard_normal(shape) * case.scale + case.offset).astype(np.float32)
    return numbers


def _wider(pads: Pads, case: Case) -> Pads:
    return Pads(pads.left + case.extra_pads, pads.right + case.extra_pads)


def aligned(array: Array) -> Array:
    """A copy that starts on a 64-byte boundary, as the weights file does."""
    memory = np.zeros(array.size + 16, np.float32)
    skip = (-memory.ctypes.data // 4) % 16
    memory[skip : skip + array.size] = array
    return memory[skip : skip + array.size]


def reference(network: Network, arrays: dict[str, Array]) -> Array:
    """The layer's result by the operators' own NumPy references."""
    (layer,) = network.layers
    values = dict(arrays)
    for node in layer.nodes:
        activations = [values[name] for name in network.graph.activations(node)]
        values[node.output] = node.operator.reference(activations, list(network.graph.parameters(node)))
    return values[layer.output]
