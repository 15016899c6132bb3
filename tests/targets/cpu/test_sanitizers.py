"""Whole programs under the compiler's sanitizers: random networks, random plans, 3 cores.

Beside what sanitizers see by themselves, buffers lie apart with guarded gaps between them, and all activations start as
NaN, so that reading or writing past a buffer, and reading what nobody wrote, are found too.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Array, Graph
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import host
from dlfusion.ops.conv import Conv
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.check import BF16_TOLERANCE, TOLERANCE, compare
from dlfusion.runtime.program import Program
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.cpu import emit_block, placement, target
from dlfusion.targets.cpu.isa import AVX2, AVX512, AVX512_BF16, ISAS, Isa
from dlfusion.targets.cpu.kernels import KERNELS
from dlfusion.targets.cpu.lowering import lower
from dlfusion.targets.cpu.memory import Interval
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.stages import Staged
from tests.support.random_graphs import graphs, random_inputs
from tests.support.random_plans import plans
from tests.support.sanitizers import IS_THOROUGH, SANITIZERS, compile_sanitized, run_sanitized

SANITIZED = Path(__file__).with_name("sanitized")
BEST = ISAS[host().isas[0]]

GAP = 64
"""Floats between two buffers, as in memory.hpp."""

pytestmark = [pytest.mark.slow, pytest.mark.sanitizer]


class Spread:
    """Places every tensor, every line buffer and every kernel's scratch memory apart, with a gap after each."""

    def __init__(self) -> None:
        self.tensor_gaps: list[int] = []
        self.scratch_gaps: list[int] = []
        self.scratch_end = 0

    def generate(self, network: Network, plan: Plan, isa: Isa, precision: Precision) -> Program:
        place_block = placement._Placer._place_block

        def offsets(intervals: Iterable[Interval], alignment: int) -> tuple[dict[str, int], int]:
            found, end = {}, 0
            for interval in intervals:
                found[interval.name] = end
                end += -(-interval.size // alignment) * alignment
                self.tensor_gaps.append(end)
                end += GAP
            return found, end

        def rings(
            placer: placement._Placer, values: Sequence[str], heights: Mapping[str, int], lifetimes: object
        ) -> tuple[dict[str, int], int]:
            del lifetimes
            found = {}
            for value in values:
                found[value] = self.scratch_end
                self._leave_gap(self.scratch_end + heights[value] * placer._row_geometry(value).row_stride)
            return found, self.scratch_end

        def block(placer: placement._Placer, index: int, cut: Block) -> placement.PlacedBlock:
            placed = place_block(placer, index, cut)
            self._leave_gap(placed.scratch_floats)
            return placed

        def place(staged: Staged, isa: Isa) -> placement.Placement:
            return replace(placement.place(staged, isa), scratch_floats=self.scratch_end)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(placement, "assign_offsets", offsets)
            patch.setattr(placement._Placer, "_place_rings", rings)
            patch.setattr(placement._Placer, "_place_block", block)
            patch.setattr(target, "place", place)
            return target.generate(network, plan, isa, precision=precision)

    def _leave_gap(self, end: int) -> None:
        """A buffer in the scratch memory ends here."""
        self.scratch_gaps.append(end)
        self.scratch_end = end + GAP

    def header(self, cores: int) -> str:
        """gaps.hpp: where gaps begin, in floats."""
        lists = {"TENSOR_GAPS": self.tensor_gaps, "SCRATCH_GAPS": self.scratch_gaps}
        lines = ["#pragma once", "#include <cstddef>", "#include <vector>", f"constexpr std::size_t CORES = {cores};"]
        for name, gaps in lists.items():
            lines.append(f"static const std::vector<std::size_t> {name} = {{{', '.join(map(str, gaps))}}};")
        return "\n".join(lines) + "\n"


def run(
    network: Network,
    plan: Plan,
    inputs: tuple[Array, ...],
    sanitizer: str,
    folder: Path,
    isa: Isa,
    precision: Precision,
) -> tuple[Array, ...]:
    """The outputs of the program built with `-fsanitize=<sanitizer>`; whatever the sanitizer reports fails the test."""
    spread = Spread()
    program = spread.generate(network, plan, isa, precision)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in program.headers.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "gaps.hpp").write_text(spread.header(program.cores), encoding="utf-8")
    for name in ("memory.hpp", "main.cpp"):
        shutil.copyfile(SANITIZED / name, folder / name)
    for unit in program.units:
        (folder / unit.name).write_text(unit.text, encoding="utf-8")
    # One translation unit: reading the headers once for each kernel would take most of the time.
    # Kernels come last: in C++ a template's explicit instantiation must follow its `extern` declaration.
    ordered = sorted((unit.name for unit in program.units), key=lambda name: (name.startswith("kernel_"), name))
    units = "".join(f'#include "{name}"\n' for name in ordered)
    (folder / "all.cpp").write_text(units + '#include "main.cpp"\n', encoding="utf-8")
    program.weights.tofile(folder / "weights.bin")
    np.concatenate([array.reshape(-1) for array in inputs]).tofile(folder / "inputs.bin")
    flags = ["-std=c++17", "-ffp-contract=fast", *program.units[0].flags, "-I."]
    compile_sanitized(sanitizer, [*flags, "all.cpp", "-o", "program"], folder)
    done = run_sanitized(folder / "program")
    assert done.returncode == 0, f"{done.stderr}{done.stdout}\n{plan.to_json()}"
    values = np.fromfile(folder / "outputs.bin", np.float32)
    shapes = [port.array_shape for port in network.graph.outputs]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return tuple(part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes, strict=True))


def check(
    graph: Graph,
    plan: Plan,
    sanitizer: str,
    folder: Path,
    isa: Isa = BEST,
    precision: Precision = Precision.FP32,
) -> None:
    network = describe(graph)
    inputs = random_inputs(graph, seed=0)
    tolerance = TOLERANCE if precision is Precision.FP32 else BF16_TOLERANCE
    outputs = run(network, plan, inputs, sanitizer, folder, isa, precision)
    verdict = compare(outputs, evaluate(graph, inputs), tolerance)
    assert verdict.passed, f"{verdict}\n{plan.to_json()}"


# Shrinking would compile hundreds of programs, and the directory may be shared because every run empties it.
SETTINGS = settings(
    max_examples=50 if IS_THOROUGH else 3,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@given(data=st.data())
@SETTINGS
def test_random_programs_are_clean(sanitizer: str, tmp_path: Path, data: st.DataObject) -> None:
    graph = data.draw(graphs(max_nodes=10).filter(lambda graph: len(graph.nodes) >= 5))
    several = plans(describe(graph), most_cores=3).filter(lambda plan: any(block.cores > 1 for block in plan.blocks))
    check(graph, data.draw(several), sanitizer, tmp_path / "program")


def programs_of_everything(isa: Isa) -> list[tuple[Graph, Plan]]:
    """Few random programs that together have each operator and each kernel that random graphs may draw."""
    drawn: list[tuple[set[str], Graph, Plan]] = []

    @settings(SETTINGS, max_examples=600, database=None)
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        graph = data.draw(graphs(max_nodes=10))
        network = describe(graph)
        used = {type(node.operator).__name__ for node in graph.nodes}
        used |= {ways[Algorithm.DIRECT].function.partition("<")[0] for ways in lower(network, isa).layers}
        drawn.append((used, graph, data.draw(plans(network, most_cores=3))))

    collect()
    missing = set().union(*(used for used, _, _ in drawn))
    assert {operator.__name__ for operator in KERNELS} <= missing
    chosen = []
    while missing:
        used, graph, plan = max(drawn, key=lambda program: len(program[0] & missing))
        missing -= used
        chosen.append((graph, plan))
    return chosen


@pytest.mark.skipif(not IS_THOROUGH, reason="takes minutes: a part of `make sanitize`")
@pytest.mark.parametrize("isa", [AVX512.name, AVX2.name])
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_programs_of_all_operators_and_kernels_are_clean(sanitizer: str, isa: str, tmp_path: Path) -> None:
    if isa not in host().isas:
        pytest.skip(f"this CPU has no {isa}")
    for graph, plan in programs_of_everything(ISAS[isa]):
        check(graph, plan, sanitizer, tmp_path / "program", ISAS[isa])


def two_convolutions() -> tuple[Graph, Plan]:
    """Two layers in one block on two cores, so that both cores compute some rows of the first one."""
    builder, generator = GraphBuilder("halo"), np.random.default_rng(0)
    value = builder.input("x", (1, 16, 12, 9))
    for _ in range(2):
        weights = generator.standard_normal((16, 16, 3, 3)) / 12
        value = builder.node(Conv((3, 3), pads=(1, 1, 1, 1)), [value], [weights, np.ones(16)])
        builder.output(value)
    graph = builder.build()
    return graph, Plan(graph.digest, "any machine", "by hand", (Block(0, 1, 2, step_rows=2),))


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("partition", list(Partition))
def test_layers_in_tiles_are_clean(sanitizer: str, partition: Partition, tmp_path: Path) -> None:
    """Winograd in all sizes of tiles, in one block in steps that break tiles, or alone on cores that share channels."""
    builder, generator = GraphBuilder("tiles"), np.random.default_rng(0)
    value = builder.input("x", (1, 20, 23, 17))
    names = [name for name in Algorithm if name is not Algorithm.DIRECT]
    for index, kernel in enumerate((3, 3, 3, 5, 5)):
        weights = generator.standard_normal((48, 20 if index == 0 else 48, kernel, kernel)) / 12
        value = builder.node(Conv((kernel, kernel), pads=(kernel // 2,) * 4), [value], [weights, np.ones(48)])
    builder.output(value)
    graph = builder.build()
    named = tuple((index, str(names[index % 3])) for index in range(5))
    blocks: tuple[Block, ...] = (Block(0, 4, 2, step_rows=5, algorithms=named),)
    if partition is Partition.CHANNELS:
        blocks = tuple(Block(place, place, 3, partition, 23, (name,)) for place, name in enumerate(named))
    check(graph, Plan(graph.digest, "any machine", "by hand", blocks), sanitizer, tmp_path / "program")


@pytest.mark.skipif(AVX512_BF16.name not in host().isas, reason="this CPU has no avx512_bf16")
@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("partition", list(Partition))
def test_layers_that_convert_rows_are_clean(sanitizer: str, partition: Partition, tmp_path: Path) -> None:
    """Products of bfloat16, strides, odd widths and channels, in one block or alone on cores that share channels."""
    builder, generator = GraphBuilder("pairs"), np.random.default_rng(0)
    value, channels = builder.input("x", (1, 20, 23, 17)), 20
    shapes = ((33, 3, 1), (24, 1, 1), (48, 1, 2), (24, 1, 1), (40, 3, 2), (32, 5, 1))
    for outputs, kernel, stride in shapes:
        weights = generator.standard_normal((outputs, channels, kernel, kernel)) / 12
        conv = Conv((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        value, channels = builder.node(conv, [value], [weights, np.ones(outputs)]), outputs
    builder.output(value)
    graph = builder.build()
    blocks: tuple[Block, ...] = (Block(0, 5, 2, step_rows=2),)
    if partition is Partition.CHANNELS:
        heights = (layer.features.output_height for layer in describe(graph).layers)
        blocks = tuple(Block(place, place, 3, partition, height) for place, height in enumerate(heights))
    plan = Plan(graph.digest, "any machine", "by hand", blocks)
    check(graph, plan, sanitizer, tmp_path / "program", AVX512_BF16, Precision.BF16)


def test_a_race_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above rely on: cores that write rows of each other are reported."""
    graph, plan = two_convolutions()
    check(graph, plan, "thread", tmp_path / "right")
    monkeypatch.setattr(placement, "_produces_owned_rows_only", lambda rows, value: True)
    monkeypatch.setattr(placement._Placer, "_fits_user_array", lambda placer, value: True)
    with pytest.raises(AssertionError, match="data race"):
        check(graph, plan, "thread", tmp_path / "wrong")


def test_a_line_buffer_that_is_too_small_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, plan = two_convolutions()
    rows_of = emit_block.rows_of

    def wrong(staged: Staged, value: str, home: placement.Home, image: str) -> str:
        ring = home.kind is placement.Kind.RING
        return rows_of(staged, value, replace(home, capacity=home.capacity + ring), image)

    monkeypatch.setattr(emit_block, "rows_of", wrong)
    with pytest.raises(AssertionError, match="AddressSanitizer"):
        check(graph, plan, "address,undefined", tmp_path / "wrong")
