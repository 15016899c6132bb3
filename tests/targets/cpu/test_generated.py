"""The generated text: readable, reproducible, free of warnings."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dlfusion.errors import PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Graph
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.program import Program, read_headers
from dlfusion.targets.cpu.isa import AVX2, AVX512
from dlfusion.targets.cpu.kernels import candidates
from dlfusion.targets.cpu.target import generate
from tests.support.compilers import HAS_GXX
from tests.support.random_graphs import graphs

GOLDEN = Path(__file__).parent / "golden"
INCLUDE = Path(__file__).parents[3] / "src/dlfusion/targets/cpu/include"


def toy() -> Network:
    """A stem, a pool and a residual block, with values that are read late and stored by several blocks."""
    builder, generator = GraphBuilder("toy"), np.random.default_rng(0)

    def conv(value: str, channels: int, kernel: int, name: str) -> str:
        weights = generator.standard_normal((channels, builder.shape(value)[1], kernel, kernel))
        operator = Conv((kernel, kernel), (1, 1), (kernel // 2,) * 4, (1, 1), 1)
        return builder.node(operator, [value], [weights, np.zeros(channels)], name=name, origins=(f"onnx/{name}",))

    image = builder.input("image", (1, 3, 33, 31))
    stem = builder.node(Clip(), [conv(image, 32, 3, "stem")], name="stem_relu")
    pool = builder.node(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [stem], name="pool")
    inner = builder.node(Clip(), [conv(pool, 48, 3, "inner")], name="inner_relu")
    total = builder.node(Add(), [conv(inner, 32, 3, "outer"), pool], name="sum")
    builder.output(conv(total, 20, 1, "head"))
    return describe(builder.build())


def plan(network: Network) -> Plan:
    blocks = (
        Block(0, 1, 2, step_rows=2, reason="the next layer's weights would not stay in the cache"),
        Block(2, 3, 1, step_rows=1),
        Block(4, 4, 2, Partition.CHANNELS, step_rows=17, reason="last layer"),
    )
    return Plan(network.graph.digest, "golden", "by hand", blocks)


def program(isa: str = "avx512") -> Program:
    network = toy()
    return generate(network, plan(network), {"avx512": AVX512, "avx2": AVX2}[isa])


def texts(made: Program) -> dict[str, str]:
    """Files that the plan decides about; kernels and runtime are the same for all plans."""
    units = {unit.name: unit.text for unit in made.units if unit.name.startswith(("blocks", "model"))}
    return {**units, "kernels.hpp": made.headers["kernels.hpp"], "blocks.hpp": made.headers["blocks.hpp"]}


@pytest.mark.parametrize("name", ["blocks_0.cpp", "model.cpp", "kernels.hpp", "blocks.hpp"])
def test_generated_files_equal_the_golden_ones(name: str) -> None:
    """`DLFUSION_UPDATE_GOLDEN=1 pytest ...` writes the files anew: read the difference before it is committed."""
    golden, text = GOLDEN / name, texts(program())[name]
    if os.environ.get("DLFUSION_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def declared_members(structure: str) -> list[str]:
    """The names of a structure's members, as the headers declare them."""
    text = re.sub(r"//.*", "", "".join(read_headers(INCLUDE).values()))
    body = re.search(rf"struct {structure} {{(.*?)\n}};", text, re.DOTALL)
    assert body is not None, structure
    return re.findall(r"(\w+)(?:\[\w+\])?;", body[1])


def named_members(initializer: str, depth: int) -> list[str]:
    """The names in the comments of a braced initializer, inside `depth` pairs of braces."""
    names, inside = [], 0
    for token in re.finditer(r"([{}])|/\*(\w+)=\*/", initializer):
        inside += {"{": 1, "}": -1}.get(token[0], 0)
        if token[2] and inside == depth:
            names.append(token[2])
    return names


BASES = {"TransposedShape": "ConvShape"}


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=graphs())
def test_shapes_name_their_members_in_the_order_of_the_header(graph: Graph) -> None:
    """To the compiler the names are comments, so nothing else would notice that numbers are in another order."""
    network = describe(graph)
    for way in (way for layer in network.layers for way in candidates(layer, network, AVX512)):
        assert named_members(way.shape, 1) == declared_members(way.shape_type)
        base = BASES.get(way.shape_type)
        assert named_members(way.shape, 2) == (declared_members(base) if base else [])


def test_equal_arguments_give_equal_bytes() -> None:
    first, second = program(), program()
    assert first.units == second.units
    assert first.headers == second.headers
    np.testing.assert_array_equal(first.weights, second.weights)


def test_a_different_process_gives_equal_bytes() -> None:
    """Hash seeds differ between processes: no order may come from a set."""
    code = (
        "import hashlib; from tests.targets.cpu.test_generated import program, texts; made = program()\n"
        "print(hashlib.sha256(repr((texts(made), made.units, made.weights_sha256)).encode()).hexdigest())"
    )
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), str(root / "src")])
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "compiler",
    [
        pytest.param(["g++"], id="g++", marks=pytest.mark.skipif(not HAS_GXX, reason="needs g++")),
        pytest.param([sys.executable, "-m", "ziglang", "c++"], id="clang"),
    ],
)
@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_generated_code_has_no_warnings(compiler: list[str], isa: str, tmp_path: Path) -> None:
    made = program(isa)
    for name, text in made.headers.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for unit in made.units:
        (tmp_path / unit.name).write_text(unit.text, encoding="utf-8")
        flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", *unit.flags]
        done = subprocess.run(
            [*compiler, *flags, "-c", unit.name, "-o", "unit.o"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{unit.name}:\n{done.stderr}"


def test_nothing_of_this_machine_is_in_the_text() -> None:
    made = program()
    everything = "".join([*(unit.text for unit in made.units), *made.headers.values()])
    assert str(Path.home()) not in everything
    assert str(Path(__file__).parents[3]) not in everything


def test_a_plan_that_asks_for_an_algorithm_is_refused() -> None:
    network = toy()
    blocks = plan(network).blocks
    asking = Plan(
        network.graph.digest, "golden", "by hand", (replace(blocks[0], algorithms=((1, "fft"),)), *blocks[1:])
    )
    with pytest.raises(PlanError, match="algorithm fft"):
        generate(network, asking, AVX512)
