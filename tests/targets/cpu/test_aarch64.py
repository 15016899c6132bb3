"""Programs for another architecture: kernels with 4 lanes are run here, and aarch64's are built, and run by qemu."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine.architecture import AARCH64, library_architecture
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.sqrt import Sqrt
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.build import build
from dlfusion.runtime.check import BF16_TOLERANCE, TOLERANCE, compare
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.program import Program
from dlfusion.runtime.reference import evaluate
from dlfusion.runtime.toolchain import COMMON_FLAGS
from dlfusion.targets.cpu.isa import NEON, Isa
from dlfusion.targets.cpu.precision import Precision
from dlfusion.targets.cpu.target import generate, include_folder
from tests.support.compilers import cxx
from tests.support.elf import needed_libraries
from tests.support.isas import NARROW

MAIN = Path(__file__).parent / "embedded" / "main.cpp"
ZIGLANG = (sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl", "-mcpu=baseline")
"""Clang for aarch64 with a C library that is linked into the program."""

C_LIBRARY = {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-aarch64.so.1"}


def small_network() -> Network:
    """A residual block between kernels of most kinds: first, 1x1, depthwise, Winograd, transposed, few outputs."""
    builder, generator = GraphBuilder("small"), np.random.default_rng(0)

    def weights(*shape: int) -> list[Array]:
        fan_in = np.prod(shape[1:])
        kernel = (generator.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
        return [kernel, generator.standard_normal(shape[0]).astype(np.float32)]

    def conv(value: str, channels: int, size: int, stride: int = 1, groups: int = 1) -> str:
        operator = Conv((size, size), (stride, stride), (size // 2,) * 4, (1, 1), groups)
        return builder.node(operator, [value], weights(channels, builder.shape(value)[1] // groups, size, size))

    image = builder.input("image", (1, 3, 33, 29))
    stem = builder.node(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [builder.node(Clip(), [conv(image, 20, 5, 2)])])
    inner = conv(builder.node(Clip(), [conv(stem, 24, 3)]), 20, 3)
    deep = conv(builder.node(Add(), [inner, stem]), 20, 3, groups=20)
    wide = builder.node(Sqrt(), [builder.node(Clip(), [conv(deep, 6, 1)])])
    up = ConvTranspose((2, 2), (2, 2))
    scores = conv(builder.node(up, [wide], [*weights(6, 17, 2, 2)[:1], weights(17, 1)[1]]), 3, 3)
    builder.output(builder.node(Softmax(), [scores]))
    return describe(builder.build())


def small_plan(network: Network) -> Plan:
    """Fused blocks on two cores, a layer cut by its channels, and one that Winograd computes."""
    last = len(network.layers) - 1
    blocks = (
        Block(0, 3, 2, step_rows=2, algorithms=((2, "winograd4"),)),
        Block(4, 4, 2, Partition.CHANNELS, step_rows=9),
        Block(5, last - 1, 1, step_rows=3),
        Block(last, last, 2, step_rows=4),
    )
    return Plan(network.graph.digest, "elsewhere", "by hand", blocks)


def random_inputs(network: Network) -> tuple[Array, ...]:
    generator = np.random.default_rng(1)
    return tuple(generator.standard_normal(port.array_shape).astype(np.float32) for port in network.graph.inputs)


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.fixture(scope="module")
def aarch64_folder(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network's program for aarch64, built on whatever machine this is."""
    pytest.importorskip("ziglang")
    program = generate(network, small_plan(network), NEON, precision=Precision.BF16)
    return build(program, tmp_path_factory.mktemp("aarch64") / "small")


def test_the_library_is_for_aarch64_and_needs_the_c_library_alone(aarch64_folder: Path) -> None:
    assert library_architecture(aarch64_folder / "model.so") == AARCH64
    assert needed_libraries(aarch64_folder / "model.so") <= C_LIBRARY


def test_all_headers_compile_for_aarch64_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    unit = tmp_path / "unit.cpp"
    headers = sorted(path.name for path in include_folder().glob("*.hpp"))
    unit.write_text("".join(f'#include "{name}"\n' for name in headers), encoding="utf-8")
    command = [*ZIGLANG, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{include_folder()}", "-c", str(unit)]
    subprocess.run([*command, "-o", str(tmp_path / "unit.o")], check=True)


@pytest.mark.parametrize("precision", Precision)
def test_four_lanes_compute_the_reference_result(network: Network, precision: Precision, tmp_path: Path) -> None:
    program = generate(network, small_plan(network), NARROW, precision=precision)
    inputs = random_inputs(network)
    with Executable.load(build(program, tmp_path / "model")) as executable:
        verdict = compare(
            executable(*inputs), evaluate(network.graph, inputs), TOLERANCE if precision == "fp32" else BF16_TOLERANCE
        )
    assert verdict.passed, verdict


def test_a_program_without_a_loader_runs_here(network: Network, tmp_path: Path) -> None:
    """What the test below does with another compiler and under qemu."""
    check_linked(network, NARROW, cxx(), (), (), tmp_path)


def test_the_program_runs_on_aarch64(network: Network, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    runner = next(filter(None, map(shutil.which, ("qemu-aarch64", "qemu-aarch64-static"))), None)
    if runner is None:
        pytest.skip("needs qemu-aarch64 (Debian, Ubuntu: apt install qemu-user)")
    check_linked(network, NEON, ZIGLANG, ("-static", "-nostdlib++"), [runner], tmp_path)


def check_linked(
    network: Network, isa: Isa, compiler: Sequence[str], link_flags: Sequence[str], runner: Sequence[str], folder: Path
) -> None:
    """Links the model and main.cpp into one program, runs it, and compares its outputs with the reference."""
    program = generate(network, small_plan(network), isa)
    inputs = random_inputs(network)
    write_sources(program, folder)
    program.weights.tofile(folder / "weights.bin")
    np.concatenate([array.reshape(-1) for array in inputs]).tofile(folder / "inputs.bin")
    units = [*(folder / unit.name for unit in program.units), MAIN]
    objects = [f"{unit.stem}.o" for unit in units]
    flags = [*COMMON_FLAGS, *isa.flags, "-I."]
    for unit, made in zip(units, objects, strict=True):
        subprocess.run([*compiler, *flags, "-c", unit, "-o", made], cwd=folder, check=True)
    subprocess.run([*compiler, *objects, *link_flags, "-pthread", "-o", "program"], cwd=folder, check=True)
    done = subprocess.run([*runner, "./program"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    expected = evaluate(network.graph, inputs)
    values = np.fromfile(folder / "outputs.bin", np.float32)
    verdict = compare([values.reshape(expected[0].shape)], expected)
    assert verdict.passed, verdict


def write_sources(program: Program, folder: Path) -> None:
    for name, text in program.headers.items():
        (folder / name).write_text(text, encoding="utf-8")
    for unit in program.units:
        (folder / unit.name).write_text(unit.text, encoding="utf-8")
