"""Engines in processes of their own: turns, sleep between turns, failures that name themselves."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfusion import driver
from dlfusion.bench import turns
from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Task
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime, outputs
from dlfusion.bench.turns import EngineProcess, Start, convert, take_turns, without_folders
from dlfusion.bench.worker import SEED
from dlfusion.machine.host import usable_cpus
from dlfusion.runtime.measure import MINIMUM_SAMPLES
from dlfusion.runtime.program import ArrayPort
from tests.bench import fake_engines

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the fake engines."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def task(model: Path) -> Task:
    """The tiny model on one core."""
    graph = driver.import_model(model).graph
    inputs, outputs = (
        tuple(ArrayPort(port.name, port.array_shape) for port in ports) for ports in (graph.inputs, graph.outputs)
    )
    return Task(model, model, inputs, outputs)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends processes with the test."""
    with ExitStack() as opened:
        yield opened


def started(adapter: type[Adapter], task: Task, folder: Path, stack: ExitStack) -> EngineProcess:
    start = Start(adapter, task, usable_cpus()[:1], folder / f"{adapter.name}.npz")
    return stack.enter_context(EngineProcess(start))


def computed(pid: int) -> int:
    """Nanoseconds that the process's threads have computed, where the kernel counts them, see proc(5), schedstat."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def test_a_task_survives_the_way_to_another_process(task: Task) -> None:
    assert Task.of(task.document()) == task


def test_a_worker_starts_without_onnx_and_without_what_plans_and_compiles() -> None:
    program = "import sys, dlfusion.bench.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = ("driver", "frontend", "passes", "search", "cost", "codegen", "targets.cpu.target", "targets.cpu.measuring")
    assert loaded.isdisjoint({"onnx", "onnxruntime", *(f"dlfusion.{name}" for name in heavy)})


def test_an_engine_writes_its_outputs_and_its_memory(task: Task, tmp_path: Path, stack: ExitStack) -> None:
    engine = started(OnnxRuntime, task, tmp_path, stack)
    assert engine.peak_bytes is not None
    assert engine.peak_bytes > 0
    inputs = [np.random.default_rng(SEED).standard_normal(port.shape, np.float32) for port in task.inputs]
    with np.load(tmp_path / "onnxruntime.npz") as stored:
        np.testing.assert_array_equal(stored["arr_0"], outputs(task.model, task.inputs, inputs)[0])


def test_all_engines_get_their_time_and_one_that_fails_stops_no_other(
    task: Task, tmp_path: Path, stack: ExitStack
) -> None:
    adapters = (OnnxRuntime, fake_engines.CrashingLater, fake_engines.Spinning)
    engines = {adapter.name: started(adapter, task, tmp_path, stack) for adapter in adapters}
    failed = take_turns(engines, 0.25)
    assert list(failed) == ["later"]
    assert f"ended with status {fake_engines.CRASH}" in str(failed["later"])
    for name in ("onnxruntime", "spinning"):
        assert engines[name].spent_seconds >= 0.25
        assert len(engines[name].samples) >= 3
        assert sum(engines[name].samples) <= engines[name].spent_seconds


def test_the_threads_of_an_engine_sleep_when_its_turn_is_over(task: Task, tmp_path: Path, stack: ExitStack) -> None:
    spinning = started(fake_engines.Spinning, task, tmp_path, stack)
    other = started(OnnxRuntime, task, tmp_path, stack)
    spinning.take_turn()
    before = computed(spinning.pid)
    if before == 0:
        pytest.skip("this kernel does not count what threads compute")
    other.take_turn()
    assert computed(spinning.pid) == before


def test_an_engine_whose_threads_never_sleep_cannot_take_part(
    task: Task, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "IDLE_SECONDS", 0.3)
    with pytest.raises(CannotRunError, match="its threads still compute"):
        started(fake_engines.Restless, task, tmp_path, stack)


def test_a_crash_says_how_and_what_was_printed_last(task: Task, tmp_path: Path, stack: ExitStack) -> None:
    with pytest.raises(CannotRunError, match=rf"ended with status {fake_engines.CRASH}.*out of luck"):
        started(fake_engines.Crashing, task, tmp_path, stack)


def test_conversions_give_a_file_refuse_or_take_too_long(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert convert(OnnxRuntime, task, tmp_path) == task.model
    assert convert(fake_engines.Faithful, task, tmp_path).read_bytes() == task.model.read_bytes()
    with pytest.raises(CannotRunError, match="knows no layers"):
        convert(fake_engines.Refusing, task, tmp_path)
    monkeypatch.setattr(turns, "CONVERT_SECONDS", 0.5)
    with pytest.raises(CannotRunError, match="takes more than"):
        convert(fake_engines.Sleeping, task, tmp_path)


def test_results_are_dropped_before_the_next_run(task: Task, tmp_path: Path, stack: ExitStack) -> None:
    engine = started(fake_engines.Frugal, task, tmp_path, stack)
    engine.take_turn()
    assert len(engine.samples) > 2


def test_every_exception_of_an_engine_is_one_line_without_folders(task: Task, tmp_path: Path, stack: ExitStack) -> None:
    with pytest.raises(CannotRunError) as raised:
        started(fake_engines.Raising, task, tmp_path, stack)
    assert str(raised.value) == "RuntimeError: no kernel for the layer in tiny.onnx"


def test_files_are_named_without_the_folders_of_this_machine() -> None:
    text = "cannot read /data/scratch/a.bin, '/data/b.bin' and /other/data/c.bin in / or .\n"
    folders = [Path("/data"), Path("/data/scratch"), Path("/"), Path()]
    assert without_folders(text, folders) == "cannot read a.bin, 'b.bin' and /other/data/c.bin in / or .\n"


def test_a_turn_that_takes_too_long_ends_the_engine_alone(
    task: Task, tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = (fake_engines.Hanging, OnnxRuntime)
    engines = {adapter.name: started(adapter, task, tmp_path, stack) for adapter in adapters}
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.5)
    failed = take_turns(engines, 0.0)
    assert list(failed) == ["hanging"]
    assert "takes more than" in str(failed["hanging"])
    assert engines["onnxruntime"].samples


def test_a_process_that_closes_its_output_and_goes_on_is_not_waited_for(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "END_SECONDS", 0.2)
    with pytest.raises(CannotRunError, match="closed its output and still runs"):
        convert(fake_engines.Silent, task, tmp_path)


def test_what_a_dead_converter_has_started_ends_with_it(task: Task, tmp_path: Path) -> None:
    model = tmp_path / "model" / "tiny.onnx"
    model.parent.mkdir()
    shutil.copyfile(task.model, model)
    folder = tmp_path / "converted"
    folder.mkdir()
    with pytest.raises(CannotRunError, match=rf"ended with status {fake_engines.CRASH}; crashed on part\.bin$"):
        convert(fake_engines.Abandoning, replace(task, model=model, file=model), folder)
    child = int((model.parent / "child").read_text())
    deadline = time.monotonic() + 10
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(child)


def runs(pid: int) -> bool:
    """False if there is no such process, or it has ended and nobody has asked for its status."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    return False


def test_each_round_begins_with_another_engine() -> None:
    order: list[str] = []

    class Planted:
        def __init__(self, name: str, rounds: int) -> None:
            self.name, self.rounds = name, rounds
            self.samples, self.spent_seconds = [0.0] * MINIMUM_SAMPLES, 0.0

        def take_turn(self) -> None:
            order.append(self.name)
            self.spent_seconds += 1 / self.rounds

    planted = {name: Planted(name, 3) for name in "abc"}
    assert take_turns(planted, 0.99) == {}  # type: ignore[arg-type]
    assert "".join(order) == "abcbcacab"
