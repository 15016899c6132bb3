"""The CPU target: from a network and a plan to a C++ program."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from dlfusion.codegen.writer import Writer, comment, string_literal
from dlfusion.graph.graph import FLOAT_BYTES, Port
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.plans import legality
from dlfusion.plans.plan import Plan
from dlfusion.runtime.cmake import EXAMPLE_FILE
from dlfusion.runtime.program import ArrayPort, Program, Unit, read_headers, runtime_unit
from dlfusion.targets.cpu.emit_block import BlockCode, Store, store_kernel, write_block, write_exports
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.lowering import Lowering, lower
from dlfusion.targets.cpu.placement import Placement, place
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.stages import Staged, stage
from dlfusion.targets.cpu.weights import PackedWeights, Use, pack, uses

ALGORITHMS: tuple[str, ...] = tuple(Algorithm)
"""The names of the algorithms that the CPU target offers."""

_BLOCKS_PER_FILE = 16

_BLOCKS_FLAG = "-O1"
"""Blocks only call kernels, row by row: compiling them harder takes twice as long and gains nothing (measured)."""


@dataclass(frozen=True)
class Prepared:
    """What the programs of several plans of a network have in common: kernels, layouts and packed weights.

    `uses` says which layers' weights are packed, and for which algorithms.
    """

    isa: Isa
    precision: Precision
    lowering: Lowering
    uses: frozenset[Use]
    weights: PackedWeights

    def for_plans(self, network: Network, plans: Sequence[Plan]) -> "Prepared":
        """The same for other legal plans of the network: itself, if its weights are enough, else with the others."""
        wanted = uses(network, plans)
        return self if wanted <= self.uses else replace(self, uses=wanted, weights=pack(self.lowering, wanted))


def prepare(network: Network, isa: Isa, plans: Sequence[Plan], precision: Precision = Precision.FP32) -> Prepared:
    """Chooses kernels and packs what these legal plans need of them: most of the time of `generate`.

    Raises:
        UnsupportedError: a layer has no kernel for the CPU.
    """
    lowering = lower(network, isa, precision)
    wanted = uses(network, plans)
    return Prepared(isa, precision, lowering, wanted, pack(lowering, wanted))


def generate(
    network: Network,
    plan: Plan,
    isa: Isa,
    prepared: Prepared | None = None,
    precision: Precision = Precision.FP32,
) -> Program:
    """Generates the program that runs `network` by the legal `plan`. The same arguments give the same bytes.

    `prepared` comes from `prepare`, for callers that generate several programs of one network; instruction set and
    precision are then its own.

    Raises:
        UnsupportedError: a layer has no kernel for the CPU.
        PlanError: the plan breaks a rule; the message lists every problem.
        ValueError: `prepared` lacks weights that the plan needs.
    """
    check_plan(network, plan)
    if prepared is None:
        prepared = prepare(network, isa, [plan], precision)
    elif not uses(network, [plan]) <= prepared.uses:
        raise ValueError(f"{network.graph.name} was prepared for plans with other algorithms: use `for_plans`")
    return _Generator(network, plan, prepared).run()


def check_plan(network: Network, plan: Plan) -> None:
    """Nothing, if the CPU can run the plan.

    Raises:
        PlanError: the plan breaks a rule; the message lists every problem.
    """
    legality.check(network, plan, legality.Limits(algorithms=ALGORITHMS))


class _Kernel(NamedTuple):
    """A kernel instance: its template-id, the header that has the template, and its first argument's type."""

    function: str
    header: str
    shape_type: str

    @property
    def declaration(self) -> str:
        """What follows the word `template` where it is instantiated or announced."""
        return f"void {self.function}(const {self.shape_type}&, const Call&);"


class _Generator:
    def __init__(self, network: Network, plan: Plan, prepared: Prepared) -> None:
        isa = prepared.isa
        self._graph = network.graph
        self._plan = plan
        self._isa = isa
        self._precision = prepared.precision
        self._staged: Staged = stage(network, plan, prepared.lowering, isa)
        self._placement: Placement = place(self._staged, isa)
        self._weights = prepared.weights
        self._offsets = self._staged_offsets()
        self._blocks = tuple(
            BlockCode(index, placed, self._staged, self._offsets, isa)
            for index, placed in enumerate(self._placement.blocks)
        )
        self._exports = tuple(
            (source, Store(value, target, store_kernel(self._staged, value, target, isa)))
            for value, source, target in self._placement.exports
        )

    def run(self) -> Program:
        kernels = self._used_kernels()
        headers = dict(read_headers(include_folder()))
        headers["kernels.hpp"] = self._kernels_header(kernels)
        headers["blocks.hpp"] = self._blocks_header()
        units = (
            *(self._kernel_unit(kernel) for kernel in kernels),
            *self._block_units(),
            Unit("model.cpp", self._model_text(), self._isa.flags),
            runtime_unit((include_folder() / "runtime.cpp").read_text(encoding="utf-8"), self._isa.flags),
        )
        return Program(
            name=self._graph.name,
            inputs=_ports(self._graph.inputs),
            outputs=_ports(self._graph.outputs),
            isa=self._isa.name,
            cores=self._cores,
            units=units,
            headers=headers,
            weights=self._weights.floats,
            weights_sha256=self._weights.sha256,
            precision=self._precision,
            documents={"plan.json": self._plan.to_json(), EXAMPLE_FILE: example_text()},
            architecture=self._isa.architecture,
        )

    @property
    def _cores(self) -> int:
        return max((block.cores for block in self._plan.blocks), default=1)

    def _staged_offsets(self) -> dict[int, int]:
        """Where the constants of each staged layer begin; conversions, which stand between layers, have none."""
        staged = zip(self._staged.network.layers, self._staged.lowered, strict=True)
        layers = [(layer, way) for layer, way in staged if not self._staged.is_conversion(layer)]
        offsets = self._weights.offsets
        found = {layer.index: offsets.get((index, way.algorithm)) for index, (layer, way) in enumerate(layers)}
        return {index: offset for index, offset in found.items() if offset is not None}

    # --- kernels -------------------------------------------------------------------------------------------------

    def _used_kernels(self) -> tuple[_Kernel, ...]:
        """Every distinct kernel instance, in a fixed order."""
        used = [lowered for block in self._blocks for lowered in block.kernels()]
        used += [store.lowered for _, store in self._exports]
        return tuple(sorted({_Kernel(way.function, way.header, way.shape_type) for way in used}))

    def _kernel_unit(self, kernel: _Kernel) -> Unit:
        text = (
            f'#include "{kernel.header}"\n\nnamespace dlfusion {{\n'
            f"template {kernel.declaration}\n}}  // namespace dlfusion\n"
        )
        stem = re.sub(r"[^0-9a-z]+", "_", kernel.function.lower()).strip("_")[:80]
        digest = hashlib.sha256(kernel.function.encode()).hexdigest()[:8]
        return Unit(f"kernel_{stem}_{digest}.cpp", text, self._isa.flags)

    def _kernels_header(self, kernels: Sequence[_Kernel]) -> str:
        out = Writer()
        out.line(f"// The kernels that this model calls, each compiled in a file of its own ({self._isa.name}).")
        out.line("#pragma once")
        out.lines(*(f'#include "{header}"' for header in sorted({kernel.header for kernel in kernels})))
        out.line()
        out.line("namespace dlfusion {")
        out.lines(*(f"extern template {kernel.declaration}" for kernel in kernels))
        out.line("}  // namespace dlfusion")
        return out.text()

    # --- blocks --------------------------------------------------------------------------------------------------

    @property
    def _functions(self) -> tuple[tuple[str, int], ...]:
        """The functions that the program runs in order, and on how many cores."""
        blocks = tuple((block.function, block.placed.block.cores) for block in self._blocks)
        return (*blocks, ("export_outputs", 1)) if self._exports else blocks

    def _blocks_header(self) -> str:
        out = Writer()
        out.line("// The blocks of the model, in the order they run.")
        out.line("#pragma once")
        out.line('#include "runtime.hpp"')
        out.line()
        out.line("namespace dlfusion {")
        out.lines(*(f"void {function}(const Run& run, int core);" for function, _ in self._functions))
        out.line("}  // namespace dlfusion")
        return out.text()

    def _block_units(self) -> tuple[Unit, ...]:
        texts = []
        for start in range(0, len(self._blocks), _BLOCKS_PER_FILE):
            out = _opened(f"Blocks of {self._graph.name}: each layer's shape, where its rows lie, and their order.")
            for code in self._blocks[start : start + _BLOCKS_PER_FILE]:
                write_block(out, code)
            texts.append(_closed(out))
        if self._exports:
            out = _opened(f"Outputs of {self._graph.name} that are copied after the last block.")
            write_exports(out, self._staged, self._exports)
            texts.append(_closed(out))
        flags = (*self._isa.flags, _BLOCKS_FLAG)
        return tuple(Unit(f"blocks_{index}.cpp", text, flags) for index, text in enumerate(texts))

    def _model_text(self) -> str:
        graph, out = self._graph, Writer()
        out.line(f"// {comment(graph.name)}: its inputs, outputs, and blocks.")
        out.lines('#include "blocks.hpp"', "", "namespace dlfusion {", "")
        for kind, ports in (("input", graph.inputs), ("output", graph.outputs)):
            for index, port in enumerate(ports):
                dimensions = ", ".join(map(str, port.array_shape)) or "1"
                out.line(f"static const long {kind}_{index}_shape[] = {{{dimensions}}};")
            with out.block(f"static const Port {kind}s[] =", "};"):
                for index, port in enumerate(ports):
                    rank = len(port.array_shape)
                    out.line(f"{{{string_literal(port.name)}, {rank}, {kind}_{index}_shape}},")
        with out.block("static const Block blocks[] =", "};"):
            for function, cores in self._functions:
                out.line(f"{{{string_literal(function)}, {function}, {cores}}},")
        out.line()
        with out.block("extern const Program program =", "};"):
            out.lines(
                f"{string_literal(graph.name)},",
                f"{string_literal(self._weights.sha256)},",
                f"{len(graph.inputs)},",
                "inputs,",
                f"{len(graph.outputs)},",
                "outputs,",
                f"{len(self._functions)},",
                "blocks,",
                f"{self._cores},  // cores",
                f"{self._weights.floats.nbytes},  // bytes of weights",
                f"{self._placement.tensor_floats * FLOAT_BYTES},  // bytes of tensors between blocks",
                f"{self._placement.scratch_floats * FLOAT_BYTES},  // bytes that each core works in",
            )
        return _closed(out)


def _opened(purpose: str) -> Writer:
    out = Writer()
    out.line(f"// {comment(purpose)}")
    out.lines(
        "// Rows: data, strides of rows and channels, rows held, height, width, channels, padding left and right.",
        "// Segment: image, first and last clock, rows of each layer to produce, rows of each value to copy.",
        "// Call: inputs, output, weights, first row, end row, part of the channels, memory that the kernel works in.",
        '#include "blocks.hpp"',
        '#include "kernels.hpp"',
        '#include "schedule.hpp"',
        "",
        "namespace dlfusion {",
        "",
    )
    return out


def _closed(out: Writer) -> str:
    out.line()
    out.line("}  // namespace dlfusion")
    return out.text()


def _ports(ports: Iterable[Port]) -> tuple[ArrayPort, ...]:
    return tuple(ArrayPort(port.name, port.array_shape) for port in ports)


def include_folder() -> Path:
    """Where the kernel library's headers and `runtime.cpp` are."""
    return Path(str(files("dlfusion.targets.cpu") / "include"))


def example_text() -> str:
    """A C program that runs any model from its folder."""
    return (files("dlfusion.targets.cpu") / "project" / EXAMPLE_FILE).read_text(encoding="utf-8")
