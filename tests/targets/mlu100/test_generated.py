"""The generated text: golden, deterministic, portable, warning-free, and what its tables say."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfusion.errors import PlanError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.mlu100.target import TIMES_FILE, Project, generate
from tests.support.compilers import cxx
from tests.support.random_graphs import random_inputs
from tests.targets.mlu100.projects import FLAGS, build, run, write

GOLDEN = Path(__file__).parent / "golden"
BLOCK_SECONDS = (12.5e-6, 20e-6, 3.5e-6, 1e-6, 7e-6)


def toy() -> Network:
    """A stem with a padded pool, a residual block whose input is read late, and a classifier."""
    builder, generator = GraphBuilder("toy"), np.random.default_rng(0)

    def conv(value: str, channels: int, kernel: int, name: str, stride: int = 1) -> str:
        weights = generator.standard_normal((channels, builder.shape(value)[1], kernel, kernel)) / kernel**2
        operator = Conv((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        bias = generator.standard_normal(channels)
        return builder.node(operator, [value], [weights, bias], name=name, origins=(f"features/{name}",))

    def relu(value: str, name: str) -> str:
        return builder.node(Clip(), [value], name=name, origins=(f"features/{name}",))

    image = builder.input("image", (1, 3, 33, 31))
    stem = relu(conv(image, 16, 7, "stem", 2), "stem_relu")
    pool = builder.node(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [stem], name="pool", origins=("features/pool",))
    inner = relu(conv(pool, 24, 3, "inner"), "inner_relu")
    total = builder.node(Add(), [conv(inner, 16, 3, "outer"), pool], name="sum", origins=("features/add",))
    mean = builder.node(GlobalAveragePool(), [relu(total, "sum_relu")], name="mean", origins=("mean",))
    head = [generator.standard_normal((10, 16, 1, 1)) / 4, np.zeros(10)]
    builder.output(builder.node(Gemm(), [mean], head, name="scores", origins=("head",)), array_shape=(1, 10))
    return describe(builder.build())


def plan(network: Network) -> Plan:
    blocks = (
        Block(0, 0, 16),
        Block(1, 1, 4, reason="the pool's result is read by two layers"),
        Block(2, 3, 8, reason="the next layer needs the whole map"),
        Block(4, 4, 1),
        Block(5, 5, 2, reason="last layer"),
    )
    return Plan(network.graph.digest, "golden", "by hand", blocks)


def project() -> Project:
    network = toy()
    return generate(network, plan(network), BLOCK_SECONDS)


def test_model_equals_the_golden_one() -> None:
    """`DLFUSION_UPDATE_GOLDEN=1 pytest ...` writes the file anew: read the difference before it is committed."""
    golden, text = GOLDEN / "model.cpp", project().texts["model.cpp"]
    if os.environ.get("DLFUSION_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_same_arguments_give_the_same_bytes() -> None:
    first, second = project(), project()
    assert dict(first.texts) == dict(second.texts)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_project_is_complete() -> None:
    names = set(project().texts)
    assert {"model.cpp", "main.cpp", "CMakeLists.txt", "plan.json", TIMES_FILE} < names
    assert {"include/model.h", "include/cnml_support.hpp", "standin/include/cnml.h", "standin/include/cnrt.h"} < names


def test_lines_fit_and_hold_no_date() -> None:
    for line in project().texts["model.cpp"].splitlines():
        assert len(line) <= 120
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", line)


def test_a_fused_block_has_one_time_and_a_layer_one_for_each_operator() -> None:
    """The pool of block 1 is an AddPad and a Pool, the stem a Conv and an Active, the sum belongs to block 2."""
    lines = project().texts[TIMES_FILE].splitlines()
    assert lines == ["12.500", "0.000", "20.000", "0.000", "3.500", "1.000", "7.000"]


def test_notifiers_report_the_simulated_times(tmp_path: Path) -> None:
    network = toy()
    program = build(project(), tmp_path)
    inputs = random_inputs(network.graph, 1)
    times = {"DLFUSION_STANDIN_TIMES": str(tmp_path / TIMES_FILE)}
    done = run(program, inputs, [(1, 10)], ["--runs", "2"], times)
    assert done.status == 0, done.complaints
    reported = [float(match) for match in re.findall(r"cores? +([0-9.]+) us", done.text)]
    assert reported == pytest.approx([seconds * 1e6 for seconds in BLOCK_SECONDS], abs=0.06)
    assert re.search(rf"{sum(BLOCK_SECONDS) * 1e6:.1f} us between notifiers", done.text)
    (expected,) = evaluate(network.graph, inputs)
    np.testing.assert_allclose(done.outputs[0], expected, atol=2e-2)


def test_core_counts_of_others_are_refused() -> None:
    network = toy()
    made = plan(network)
    with pytest.raises(PlanError, match="block 0: 3 cores"):
        generate(network, replace(made, blocks=(replace(made.blocks[0], cores=3), *made.blocks[1:])))


def test_algorithms_of_others_are_refused() -> None:
    network = toy()
    made = plan(network)
    tiled = replace(made.blocks[0], algorithms=((made.blocks[0].first, "winograd4"),))
    with pytest.raises(PlanError, match="block 0: algorithms are named"):
        generate(network, replace(made, blocks=(tiled, *made.blocks[1:])))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="clang comes with the ziglang wheel")
def test_clang_warns_of_nothing(tmp_path: Path) -> None:
    write(project(), tmp_path)
    # In one file, since most of the time goes into the headers of the standard library.
    sources = ["model.cpp", *sorted(f"include/{path.name}" for path in tmp_path.glob("include/*.cpp"))]
    text = "".join(f'#include "{source}"\n' for source in sources)
    (tmp_path / "all.cpp").write_text(text, encoding="utf-8")
    for source in ("all.cpp", "main.cpp"):
        command = [sys.executable, "-m", "ziglang", "c++", *FLAGS, "-c", source, "-o", "unused.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr


def test_interface_is_c(tmp_path: Path) -> None:
    """A C program can use the interface, like that of the CPU target."""
    write(project(), tmp_path)
    text = '#include "model.h"\nint main(void) { return dlfusion_create_parallel(0, 1, 0) == DLFUSION_OK; }\n'
    (tmp_path / "caller.c").write_text(text, encoding="utf-8")
    command = [
        *cxx(),
        "-xc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Iinclude",
        "-c",
        "caller.c",
        "-o",
        "caller.o",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_builds_and_names_what_is_missing(tmp_path: Path) -> None:
    write(project(), tmp_path)
    cmake = ("cmake", "-S", ".", "-B")
    environment = {key: value for key, value in os.environ.items() if key != "NEUWARE_HOME"}

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False, env=environment
        )

    without = call(*cmake, "board")
    assert without.returncode != 0
    assert "NEUWARE_HOME" in without.stderr
    configured = call(*cmake, "build", "-DDLFUSION_STANDIN=ON", "-DCMAKE_BUILD_TYPE=Plain")
    assert configured.returncode == 0, configured.stderr
    built = call("cmake", "--build", "build", "--parallel", "2")
    assert built.returncode == 0, built.stdout + built.stderr
    done = call("build/run_model")
    assert done.returncode == 0, done.stderr
    # The simulated times of this folder are compiled in.
    assert f"{sum(BLOCK_SECONDS) * 1e6:.1f} us between notifiers" in done.stdout
