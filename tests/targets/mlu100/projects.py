"""Builds and runs generated projects with the stand-in. What all projects share is compiled once and kept."""

import functools
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import NO_LIMITS, Limits, problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.cache import open_cache
from dlfusion.targets.mlu100.target import WEIGHTS_FILE, Project
from tests.support.compilers import cxx

FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-Istandin/include")
TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Run:
    """What a program did: its outputs (empty if it failed), the text it printed, and its complaints."""

    outputs: tuple[Array, ...]
    status: int
    text: str
    complaints: str


def write(project: Project, folder: Path) -> None:
    """The project as files."""
    for name, text in project.texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    project.weights.tofile(folder / WEIGHTS_FILE)


def compile_file(folder: Path, source: str, target: Path, *flags: str) -> None:
    """Compiles one file of a project without a warning."""
    command = [*cxx(), *FLAGS, *flags, "-c", source, "-o", str(target)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def build(project: Project, folder: Path, main: str | None = None) -> Path:
    """The program of a project, linked with the stand-in; `main` is a text to have in place of its main.cpp."""
    write(project, folder)
    # Nearly all work is in the stand-in, so that the model itself need not be fast.
    compile_file(folder, "model.cpp", folder / "model.o", "-O0")
    shared = _shared_objects(tuple(sorted((name, text) for name, text in project.texts.items() if _is_shared(name))))
    if main is not None:
        (folder / "main.cpp").write_text(main, encoding="utf-8")
        compile_file(folder, "main.cpp", folder / "main.o", "-O0")
        shared = (folder / "main.o", *(path for path in shared if path.name != "main.cpp.o"))
    program = folder / "run_model"
    command = [*cxx(), "model.o", *map(str, shared), "-pthread", "-o", str(program)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run(
    program: Path,
    inputs: Sequence[Array],
    shapes: Sequence[tuple[int, ...]],
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Runs a program in its folder on these inputs; leaks make it fail. `shapes` are those of its outputs."""
    folder = program.parent
    words = [str(program)]
    for index, array in enumerate(inputs):
        array.astype(np.float32).tofile(folder / f"input_{index}.raw")
        words += ["--input", f"input_{index}.raw"]
    for index in range(len(shapes)):
        words += ["--output", f"output_{index}.raw"]
    done = subprocess.run(
        [*words, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={**os.environ, "DLFUSION_STANDIN_STRICT": "1", "DLFUSION_STANDIN_VERBOSE": "1", **(environment or {})},
    )
    outputs: tuple[Array, ...] = ()
    if done.returncode == 0:
        files = [folder / f"output_{index}.raw" for index in range(len(shapes))]
        outputs = tuple(np.fromfile(file, np.float32).reshape(shape) for file, shape in zip(files, shapes, strict=True))
    return Run(outputs, done.returncode, done.stdout, done.stderr)


def outputs_of(network: Network, project: Project, inputs: Sequence[Array], folder: Path) -> tuple[Array, ...]:
    """The results of a project that runs without a complaint and frees everything."""
    shapes = [port.array_shape for port in network.graph.outputs]
    done = run(build(project, folder), inputs, shapes)
    assert done.status == 0, done.complaints
    assert not done.complaints
    return done.outputs


def each_alone(network: Network, cores: int = 1) -> Plan:
    """A plan of one block for each layer."""
    blocks = tuple(Block(layer.index, layer.index, cores) for layer in network.layers)
    return Plan(network.graph.digest, "any machine", "each alone", blocks)


def fused(network: Network, cores: int = 1, limits: Limits = NO_LIMITS) -> Plan:
    """A plan of as few blocks as rows allow."""
    blocks: list[Block] = []
    first = 0
    while first < len(network.layers):
        last = first
        while not problems(network, Block(first, last + 1, cores), limits):
            last += 1
        blocks.append(Block(first, last, cores))
        first = last + 1
    return Plan(network.graph.digest, "any machine", "fused", tuple(blocks))


def _is_shared(name: str) -> bool:
    """Whether a file is the same in all projects."""
    return name.startswith(("include/", "standin/")) or name == "main.cpp"


@functools.cache
def _shared_objects(files: tuple[tuple[str, str], ...]) -> tuple[Path, ...]:
    """Objects of the stand-in, of what programs share, and of main.cpp; kept between runs of the tests."""
    state = hashlib.sha256(repr((files, FLAGS, cxx())).encode())
    folder = open_cache().folder / f"mlu100-{state.hexdigest()[:16]}"
    sources = [name for name, _ in files if name.endswith(".cpp")]
    objects = tuple(folder / f"{name.replace('/', '_')}.o" for name in sources)
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for source, target in zip(sources, objects, strict=True):
        if not target.is_file():
            part = target.with_suffix(f".{os.getpid()}.part")
            compile_file(folder, source, part)
            part.replace(target)
    return objects
