"""Engines in processes of their own: turns, sleep between turns, failures that name themselves."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from dlfusion import driver
from dlfusion.bench import turns
from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Task
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime, outputs
from dlfusion.bench.turns import EngineProcess, Start, convert, take_turns
from dlfusion.bench.worker import SEED
from dlfusion.machine.host import usable_cpus
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
