"""A compiled model stands alone: C programs build and run it, share its weights, and are not held up in a run."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import host
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.build import build
from dlfusion.runtime.check import compare
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.cpu.isa import ISAS
from dlfusion.targets.cpu.target import generate
from tests.support.random_graphs import random_inputs
from tests.support.sanitizers import SANITIZERS, compile_sanitized, run_sanitized

PROGRAMS = Path(__file__).with_name("embedding")
PAGE = Path(__file__).parents[3] / "docs" / "embedding.md"
BEST = ISAS[host().isas[0]]
WARNINGS = ("-Wall", "-Wextra", "-Werror")
STRICT = ("-std=c99", "-pedantic", *WARNINGS)
IMPORTED = {
    *("malloc", "free", "mmap", "munmap", "madvise", "open", "openat", "close", "fstat", "memcmp", "memcpy", "memset"),
    *("pthread_create", "pthread_join", "pthread_sigmask", "sigfillset", "pthread_mutex_lock", "pthread_mutex_unlock"),
    *("pthread_cond_signal", "pthread_cond_wait", "sched_yield", "sched_getcpu", "sched_getaffinity", "sched_cpucount"),
    *("clock_gettime", "sysconf", "strcmp", "strlen", "strcspn", "strspn", "strerror", "vsnprintf", "snprintf"),
}
"""All that the library may call: nothing that throws, and nothing that waits but for its own workers."""

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def network() -> Network:
    """Two inputs that meet, two outputs, and weights of several pages."""
    builder, generator = GraphBuilder("two ways"), np.random.default_rng(0)

    def conv(value: str) -> str:
        weights = generator.standard_normal((64, 64, 3, 3)) / 24
        return builder.node(Conv((3, 3), pads=(1, 1, 1, 1)), [value], [weights, np.ones(64)])

    x, y = (builder.input(name, (1, 64, 22, 19)) for name in "xy")
    inner = builder.node(Clip(), [conv(builder.node(Clip(), [conv(x)]))])
    total = builder.node(Add(), [conv(inner), y])
    builder.output(total, name="sum")
    builder.output(conv(total), name="last")
    return describe(builder.build())


def plan(made: Network) -> Plan:
    blocks = (Block(0, 1, 2, step_rows=2), Block(2, 2, 2, Partition.CHANNELS, step_rows=22), Block(3, 3, 2))
    return Plan(made.graph.digest, "any machine", "by hand", blocks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled model."""
    made = network()
    return build(generate(made, plan(made), BEST), tmp_path_factory.mktemp("artefact") / "two ways")


@pytest.fixture(scope="module")
def programs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all C programs: the model's own example, and those of the tests."""
    place = tmp_path_factory.mktemp("programs")
    for source in (folder / "example.c", *sorted(PROGRAMS.glob("*.c"))):
        # What stands in for the C library's functions needs that library's own names.
        language = ("-std=gnu11", *WARNINGS) if source.stem == "quiet" else STRICT
        command = ["gcc", *language, f"-I{folder}", str(source), f"-L{folder}", "-l:model.so", "-pthread", "-ldl"]
        command += [f"-Wl,-rpath,{folder}", "-o", str(place / source.stem)]
        compiled = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (compiled.returncode, compiled.stderr) == (0, "")
    return place


def run(program: Path, *words: "str | Path") -> "subprocess.CompletedProcess[str]":
    """Runs a program in its folder without any environment."""
    command = [program, *words]
    return subprocess.run(command, cwd=program.parent, env={}, capture_output=True, text=True, timeout=120, check=False)


def inputs() -> tuple[Array, ...]:
    return random_inputs(network().graph, seed=0)


def example_words(folder: Path, place: Path) -> list["str | Path"]:
    """Arguments for the example: the model on `inputs()`, with files in `place`."""
    words: list[str | Path] = [folder]
    for name, array in zip("xy", inputs(), strict=True):
        array.tofile(place / f"{name}.raw")
        words += ["--input", place / f"{name}.raw"]
    return [*words, "--output", place / "sum.raw", "--output", place / "last.raw"]


def written(place: Path) -> tuple[Array, ...]:
    """What the example wrote to `place`."""
    shapes = {port.name: port.array_shape for port in network().graph.outputs}
    return tuple(np.fromfile(place / f"{name}.raw", np.float32).reshape(shapes[name]) for name in ("sum", "last"))


@needs_gcc
def test_the_example_computes_the_reference(folder: Path, programs: Path, tmp_path: Path) -> None:
    done = run(programs / "example", *example_words(folder, tmp_path), "--runs", "3")
    assert done.returncode == 0, done.stderr
    assert "input y: 1 x 64 x 22 x 19\noutput sum: 1 x 64 x 22 x 19\n" in done.stdout
    assert "model two ways, fastest of 3 on 2 cores: " in done.stdout
    verdict = compare(written(tmp_path), evaluate(network().graph, inputs()))
    assert verdict.passed, verdict
    (first,) = re.findall(r"^last: (\S+)", done.stdout, re.MULTILINE)
    assert float(first) == pytest.approx(float(written(tmp_path)[1].flat[0]), rel=1e-5)


@needs_gcc
def test_the_example_explains_what_is_wrong(folder: Path, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "short.raw").write_bytes(b"1234")
    (tmp_path / "other").mkdir()
    cases: dict[str, list[str | Path]] = {
        "usage: example FOLDER": [],
        "its weights.bin: No such file": [tmp_path / "other"],
        "just 26752 float32 values\nwrong size: ": [folder, "--input", tmp_path / "short.raw"],
        "cannot open ": [folder, "--input", tmp_path / "absent.raw"],
        "unknown option": [folder, "--speed", "9"],
        "more files than": [folder, *["--output", "o.raw"] * 3],
    }
    for text, words in cases.items():
        done = run(programs / "example", *words)
        assert done.returncode == 1
        assert text in done.stderr


def code(language: str) -> list[str]:
    """The blocks of code in a language on the page about embedding."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@needs_gcc
def test_what_the_page_says_works(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "compiled").symlink_to(folder)
    loading, function, weights = code("c")
    opening = loading.replace("/opt/models/resnet50", "compiled")
    main = (
        "dlfusion_model* models[2];\n"
        + opening
        + 'return open_model("compiled", 0, models) || open_weights(models + 1);'
    )
    text = f"#include <dlfcn.h>\n{function}{weights}int main(void) {{\n{main}\n}}\n"
    (tmp_path / "program.c").write_text(text, encoding="utf-8")
    link = ("-Lcompiled", "-l:model.so", "-Wl,-rpath,$ORIGIN/compiled", "-ldl")
    command = ["gcc", *STRICT, "-Icompiled", "program.c", *link, "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert run(tmp_path / "program").returncode == 0
    inputs()[0].tofile(tmp_path / "image.raw")
    commands = code("sh")[0]
    assert "--output scores.raw" in commands
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "scores.raw").stat().st_size == inputs()[0].nbytes


@needs_gcc
def test_threads_with_a_context_each_get_the_results_of_one_thread(folder: Path, programs: Path) -> None:
    done = run(programs / "threads", folder, "100")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@needs_gcc
def test_a_run_allocates_locks_and_throws_nothing(folder: Path, programs: Path) -> None:
    done = run(programs / "quiet", folder)
    counts = "0 allocations, 0 mappings, 0 threads, 0 exceptions, 0 other locks\n"
    assert (done.returncode, done.stdout) == (0, counts), done.stderr


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_the_library_can_neither_throw_nor_use_other_locks(folder: Path) -> None:
    command = ["nm", "-D", "--undefined-only", str(folder / "model.so")]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    symbols = [line.split() for line in listed.splitlines()]
    names = {name.partition("@")[0].removeprefix("__").removesuffix("_chk") for kind, name in symbols if kind == "U"}
    assert names - {"tls_get_addr", "errno_location", "stack_chk_fail"} <= IMPORTED


@contextmanager
def waiting(program: Path, folder: Path) -> Iterator[int]:
    """A process that has run the model and now waits; its identifier."""
    pipe = subprocess.PIPE
    with subprocess.Popen([program, folder], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def mapped_kibibytes(process: int, file: Path) -> dict[str, int]:
    """What the kernel says about a process's mapping of a file: KiB by kind of page."""
    _, found, text = Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").partition(f"{file}\n")
    assert found, f"{file} is not mapped"
    mapping = re.split(r"^[0-9a-f]+-[0-9a-f]+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", mapping, re.MULTILINE)}


@needs_gcc
@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="needs Linux's /proc/PID/smaps")
def test_processes_share_the_weights(folder: Path, programs: Path) -> None:
    weights = folder / "weights.bin"
    with ExitStack() as stack:
        processes = [stack.enter_context(waiting(programs / "waits", folder)) for _ in range(2)]
        for process in processes:
            pages = mapped_kibibytes(process, weights)
            assert pages["Rss"] * 1024 >= weights.stat().st_size
            assert pages["Shared_Clean"] + pages["Shared_Dirty"] == pages["Rss"]
            assert pages["Private_Clean"] + pages["Private_Dirty"] + pages["Anonymous"] == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("g++") is None, reason="needs cmake and g++")
def test_cmake_builds_the_library_again(folder: Path, tmp_path: Path) -> None:
    """From a copy of the folder without its library, to the same results in every bit."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("model.so"))
    for words in ("-B build", "--build build --parallel 2"):
        done = subprocess.run(
            ["cmake", *words.split()], cwd=copy, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / "build" / "model.so").is_file()
    done = run(copy / "build" / "example", *example_words(copy, tmp_path))
    assert done.returncode == 0, done.stderr
    with Executable.load(folder) as model:
        for again, output in zip(written(tmp_path), model.run(inputs()), strict=True):
            np.testing.assert_array_equal(again, output)


@pytest.mark.slow
@pytest.mark.sanitizer
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_example_and_threads_are_clean(sanitizer: str, folder: Path, tmp_path: Path) -> None:
    # One translation unit, in which a template's explicit instantiation must follow its `extern` declaration.
    ordered = sorted((folder / "sources").glob("*.cpp"), key=lambda path: (path.name.startswith("kernel_"), path.name))
    (tmp_path / "all.cpp").write_text("".join(f'#include "{path}"\n' for path in ordered), encoding="utf-8")
    flags = ["-std=c++17", "-ffp-contract=fast", *BEST.flags, f"-I{folder / 'include'}"]
    compile_sanitized(sanitizer, [*flags, "-c", "all.cpp"], tmp_path)
    for source in (folder / "example.c", PROGRAMS / "threads.c"):
        arguments = [*STRICT, f"-I{folder}", "-c", str(source), "-o", f"{source.stem}.o"]
        compile_sanitized(sanitizer, arguments, tmp_path, compiler="gcc")
        compile_sanitized(sanitizer, [f"{source.stem}.o", "all.o", "-o", source.stem], tmp_path)
    done = run_sanitized(tmp_path / "example", example_words(folder, tmp_path))
    assert done.returncode == 0, done.stderr
    verdict = compare(written(tmp_path), evaluate(network().graph, inputs()))
    assert verdict.passed, verdict
    done = run_sanitized(tmp_path / "threads", [folder, "10"])
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
