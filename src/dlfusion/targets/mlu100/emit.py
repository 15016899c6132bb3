"""Writes model.cpp: a function for each block, the tensors that blocks hand over, and the tables of the C interface."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from dlfusion.codegen.names import NameTable
from dlfusion.codegen.writer import Writer, comment, string_literal
from dlfusion.graph.graph import Node, Port
from dlfusion.layers.layer import Network
from dlfusion.ops.operator import Shape
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import block_flow
from dlfusion.targets.mlu100.operators.scope import BaseOperator, Constant, Tensor

HALF_BYTES = 2
"""Size of an element on the device."""

_LINE_CHARACTERS = 116
"""So that indented lines have 120 at most, with an opening brace."""

_NO_BREAK = "\0"
"""Stands for a blank at which no line may end."""

_WHOLE = re.compile(r"block\.(filter|channels)\([^()]*\)|\{[^{}&]*\}")
"""Constants and lists of sizes."""

_TAKEN_NAMES = """
activation add build channels concatenate convolution copy depthwise_convolution filter fully_connected
grouped_convolution interpolate local_response_normalization model multiply multiply_channels pad pool prelu reshape
scale shuffle_channels softmax transpose block program inputs outputs blocks errno
linux unix
"""
"""What model.cpp calls otherwise, and words that compilers replace."""


@dataclass(frozen=True)
class NodeCode:
    """A node and the base operators that compute it."""

    node: Node
    operators: tuple[BaseOperator, ...]


@dataclass(frozen=True)
class BlockCode:
    """A block of the plan with what its nodes become; `is_fused` says whether it is one fusion operator."""

    index: int
    block: Block
    nodes: tuple[NodeCode, ...]

    @property
    def function(self) -> str:
        """The name of the generated function."""
        return f"block_{self.index}"

    @property
    def is_fused(self) -> bool:
        """Whether the block is longer than one layer."""
        return self.block.first < self.block.last

    @property
    def operators(self) -> tuple[BaseOperator, ...]:
        """All base operators, in order."""
        return tuple(operator for code in self.nodes for operator in code.operators)


@dataclass(frozen=True)
class Weights:
    """What model.cpp says about the weights file."""

    size_bytes: int
    crc32: int


def write_model(network: Network, blocks: Sequence[BlockCode], weights: Weights) -> str:
    """The text of model.cpp. Constants stand in the weights file in the order in which they are met here."""
    return _ModelWriter(network, blocks, weights).text()


class _ModelWriter:
    def __init__(self, network: Network, blocks: Sequence[BlockCode], weights: Weights) -> None:
        self._network = network
        self._blocks = blocks
        self._weights = weights
        self._out = Writer()
        self._names = NameTable((*_TAKEN_NAMES.split(), *(code.function for code in blocks)))
        self._offset_floats = 0
        self._context_bytes = 0

    def text(self) -> str:
        graph, out = self._network.graph, self._out
        self._name_values()
        out.line(f"// {comment(graph.name)} for the MLU-100, by CNML.")
        out.lines('#include "cnml_operators.hpp"', '#include "program.hpp"', "")
        out.lines("namespace dlfusion {", "namespace {", "")
        for code in self._blocks:
            self._block(code)
        self._build()
        self._ports("input", graph.inputs)
        self._ports("output", graph.outputs)
        with out.block("const BlockInfo blocks[] =", "};"):
            out.lines(*(f"{{{string_literal(code.function)}, {code.block.cores}}}," for code in self._blocks))
        out.lines("", "}  // namespace", "")
        self._info()
        out.lines("", "}  // namespace dlfusion")
        return out.text()

    def _name_values(self) -> None:
        """Names what users see after the ports, and the other values after the ONNX nodes that make them."""
        for port in (*self._network.graph.inputs, *self._network.graph.outputs):
            self._names.name(port.value, port.name)
        for code in self._blocks:
            for made in code.nodes:
                self._names.name(made.node.output, (*made.node.origins, made.node.name)[0])

    # --- blocks --------------------------------------------------------------------------------------------------

    def _block(self, code: BlockCode) -> None:
        flow = block_flow(self._network, code.block)
        boundary = {*flow.inputs, *flow.outputs}
        self._block_comment(code)
        parameters = [f"const Tensor& {self._names.name(value)}" for value in (*flow.inputs, *flow.outputs)]
        head = _wrap(f"void {code.function}(Program& program, {', '.join(parameters)})", "    ")
        self._out.lines(*head[:-1])
        with self._out.block(head[-1]):
            kind = "FusedBlock" if code.is_fused else "LayerBlock"
            name = string_literal(code.function)
            self._out.line(f"auto& block = program.add<{kind}>({name}, {code.block.cores});")
            for node in code.nodes:
                self._node(node, boundary)
                if not code.is_fused:
                    outputs = [operator.output for operator in node.operators]
                    inside = [tensor for tensor in outputs if tensor.role or tensor.value not in boundary]
                    self._context_bytes += sum(_half_bytes(tensor.shape) for tensor in inside)
            ends = [self._tensors(values) for values in (flow.inputs, flow.outputs)] if code.is_fused else []
            self._out.lines(*_wrap(f"block.compile({', '.join(ends)});", "    "))
        self._out.line()

    def _block_comment(self, code: BlockCode) -> None:
        block = code.block
        layers = f"layers {block.first} to {block.last}, fused," if code.is_fused else f"layer {block.first}"
        cores = "1 core" if block.cores == 1 else f"{block.cores} cores"
        self._out.line(f"// Block {code.index}: {layers} on {cores}.")
        if block.reason:
            self._out.lines(*_wrap(f"// It ends here: {comment(block.reason)}.", "// "))

    def _node(self, code: NodeCode, boundary: set[str]) -> None:
        out = self._out
        out.line()
        origins = f"; ONNX: {', '.join(code.node.origins)}" if code.node.origins else ""
        out.lines(*_wrap(f"// {comment(code.node.operator.label + origins)}", "// "))
        for operator in code.operators:
            target = operator.output
            if target.role or target.value not in boundary:
                name = self._name(target)
                out.line(f"const Tensor& {name} = block.tensor({string_literal(name)}, {_braced(target.shape)});")
            out.lines(*_wrap(self._call(operator), "    "))

    def _call(self, operator: BaseOperator) -> str:
        names = [self._name(tensor) for tensor in operator.inputs]
        if operator.function == "concatenate":
            names = ["{" + ", ".join(f"&{name}" for name in names) + "}"]
        operands = [*names, self._name(operator.output), *map(self._constant, operator.constants)]
        return f"{operator.function}(block, {', '.join([*operands, *operator.settings])});"

    def _constant(self, constant: Constant) -> str:
        """The text of a constant, which takes its place after those before it."""
        offset, shape = self._offset_floats, constant.array.shape
        self._offset_floats += constant.array.size
        if constant.is_filter:
            return f"block.filter({_braced(shape)}, {offset})"
        return f"block.channels({shape[0]}, {offset})"

    def _tensors(self, values: Sequence[str]) -> str:
        return "{" + ", ".join(f"&{self._names.name(value)}" for value in values) + "}"

    def _name(self, tensor: Tensor) -> str:
        name = self._names.name(tensor.value)
        # No value's name holds a zero byte, so that the key cannot be that of a value.
        return self._names.name(f"{tensor.value}\0{tensor.role}", f"{name}_{tensor.role}") if tensor.role else name

    # --- the model -----------------------------------------------------------------------------------------------

    def _build(self) -> None:
        """The tensors between blocks, each declared before the block that makes it, and the blocks."""
        graph, out = self._network.graph, self._out
        out.line("// The tensors that blocks hand over (N x C x H x W), and the blocks in the order they run.")
        with out.block("void build(Program& program)"):
            for port in graph.inputs:
                self._declare(port.value, "input")
            for code in self._blocks:
                flow = block_flow(self._network, code.block)
                for value in flow.outputs:
                    self._declare(value, "tensor")
                arguments = [self._names.name(value) for value in (*flow.inputs, *flow.outputs)]
                out.lines(*_wrap(f"{code.function}(program, {', '.join(arguments)});", "    "))
            out.lines(*(f"program.output({self._names.name(port.value)});" for port in graph.outputs))
        out.line()

    def _declare(self, value: str, kind: str) -> None:
        shape, name = self._network.shape(value), self._names.name(value)
        self._context_bytes += _half_bytes(shape)
        self._out.line(f"const Tensor& {name} = program.{kind}({string_literal(name)}, {_braced(shape)});")

    def _ports(self, kind: str, ports: Sequence[Port]) -> None:
        for index, port in enumerate(ports):
            sizes = _braced(port.array_shape or (1,))
            self._out.line(f"const long {kind}_{index}_shape[] = {sizes};")
        with self._out.block(f"const PortInfo {kind}s[] =", "};"):
            for index, port in enumerate(ports):
                rank = len(port.array_shape)
                self._out.line(f"{{{string_literal(port.name)}, {rank}, {kind}_{index}_shape}},")

    def _info(self) -> None:
        graph, weights = self._network.graph, self._weights
        with self._out.block("const ModelInfo model =", "};"):
            self._out.lines(
                f"{string_literal(graph.name)},",
                f"{len(graph.inputs)},",
                "inputs,",
                f"{len(graph.outputs)},",
                "outputs,",
                f"{len(self._blocks)},",
                "blocks,",
                f"{weights.size_bytes},  // bytes of weights",
                f"0x{weights.crc32:08x},  // their CRC-32",
                f"{self._context_bytes},  // bytes of tensors on the device",
                "build,",
            )


def _wrap(text: str, indent: str) -> list[str]:
    """Lines that fit inside a function; those after the first begin with `indent`. What `_WHOLE` finds is not cut."""
    held = _WHOLE.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    lines = textwrap.wrap(
        held, _LINE_CHARACTERS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _half_bytes(shape: Shape) -> int:
    return prod(shape) * HALF_BYTES


def _braced(sizes: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, sizes)) + "}"
