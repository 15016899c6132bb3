"""Running a compiled program from Python: arrays in and out, threads, and what is refused."""

import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dlfusion.errors import BuildError, InputError
from dlfusion.runtime.build import build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.library import RunBlock
from dlfusion.runtime.program import ArrayPort, runtime_unit
from tests.runtime.tiny_program import expected, tiny_program

X = np.arange(30, dtype=np.float32).reshape(1, 6, 5)


def test_what_a_program_says_about_itself(tiny: Executable) -> None:
    assert tiny.name == "tiny"
    assert tiny.inputs == (ArrayPort("x", (1, 6, 5)),)
    assert tiny.outputs == (ArrayPort("y", (1, 6, 5)), ArrayPort("z", (1, 6, 5)))
    assert tiny.blocks == (RunBlock("add", 2), RunBlock("scale", 1))
    assert tiny.cores == 2
    assert tiny.weights_bytes == 8
    assert tiny.context_bytes == 6 * 5 * 4 + 2 * 4096  # each core's scratch has pages of its own
    assert tiny.description["isa"] == "avx2"


def test_outputs_are_new_arrays_in_order(tiny: Executable) -> None:
    y, z = tiny(X)
    again, _ = tiny(X + 1)
    np.testing.assert_array_equal(y, expected(X))
    np.testing.assert_array_equal(z, 10 * expected(X))
    np.testing.assert_array_equal(again, expected(X + 1))


@pytest.mark.parametrize(
    "x",
    [
        np.asfortranarray(X),
        np.repeat(X, 2, axis=2)[:, :, ::2],
        X.astype(">f4"),
        np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape),
    ],
    ids=["column order", "strided", "big endian", "unaligned"],
)
def test_float32_arrays_of_any_layout_are_taken(tiny: Executable, x: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(tiny(x)[0], expected(X))


def test_inputs_that_do_not_fit_are_refused_with_numbers(tiny: Executable) -> None:
    with pytest.raises(InputError, match=r"2 arrays given, but the model has 1 inputs: x \(1, 6, 5\)"):
        tiny(X, X)
    with pytest.raises(InputError, match=r"input x has shape \(6, 5\).*compiled for \(1, 6, 5\)"):
        tiny(X[0])
    with pytest.raises(InputError, match=r"input x has element type float64.*float32"):
        tiny(X.astype(np.float64))
    with pytest.raises(InputError, match=r"element type object"):
        tiny(np.full(X.shape, None))


def test_outputs_can_be_written_to_given_arrays(tiny: Executable) -> None:
    y, z = np.empty_like(X), np.empty_like(X)
    results = tiny.run([X], out=[y, z])
    assert results[0] is y
    np.testing.assert_array_equal(z, 10 * expected(X))
    frozen = np.empty_like(X)
    frozen.flags.writeable = False
    cases: list[tuple[list[Any], str]] = [
        ([y], r"1 arrays given as `out`.*2 outputs"),
        ([y, z[0]], r"`out` for z is float32 \(6, 5\)"),
        ([y, z.astype(np.float64)], r"`out` for z is float64"),
        ([y, frozen], r"`out` for z must be contiguous, aligned and writable"),
        ([y, np.asfortranarray(X)], r"`out` for z must be contiguous"),
        ([y, X], r"`out` for z overlaps an input"),
        ([y, y], r"`out` for z overlaps another output"),
    ]
    for out, message in cases:
        with pytest.raises(InputError, match=message):
            tiny.run([X], out=out)


def test_a_profile_has_the_seconds_of_each_block(tiny: Executable) -> None:
    seconds = tiny.profile(X)
    assert len(seconds) == 2
    assert all(0 < value < 10 for value in seconds)


def test_a_closed_executable_says_so_and_its_duplicate_lives(tiny_folder: Path) -> None:
    executable = Executable.load(tiny_folder)
    twin = executable.duplicate()
    executable.close()
    executable.close()
    with pytest.raises(InputError, match="model tiny is closed"):
        executable(X)
    np.testing.assert_array_equal(twin(X)[0], expected(X))
    twin.close()


def test_a_temporary_folder_goes_with_its_last_user(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    executable = Executable.load(folder, temporary=True)
    twin = executable.duplicate()
    executable.close()
    assert folder.exists()
    del executable, twin  # the garbage collector closes too
    assert not folder.exists()


def test_threads_with_their_own_duplicates_run_at_the_same_time(tiny: Executable) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = X + np.float32(seed)
        with tiny.duplicate() as own:
            for _ in range(200):
                y, z = own(x)
                if not (np.array_equal(y, expected(x)) and np.array_equal(z, 10 * expected(x))):
                    wrong.append(seed)

    run_threads(work, 8)
    assert wrong == []


def test_threads_that_share_an_executable_wait_for_each_other(tiny: Executable) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = X + np.float32(seed)
        wrong.extend(seed for _ in range(200) if not np.array_equal(tiny(x)[0], expected(x)))

    run_threads(work, 4)
    assert wrong == []


def test_more_cores_than_cpus_are_correct(cache: Cache, tmp_path: Path) -> None:
    folder = build(tiny_program(cores=16, rows=37, columns=3), tmp_path / "model", cache=cache)
    x = np.random.default_rng(0).standard_normal((1, 37, 3)).astype(np.float32)
    with Executable.load(folder) as executable:
        start = time.monotonic()
        for _ in range(100):
            np.testing.assert_array_equal(executable(x)[0], expected(x))
        assert time.monotonic() - start < 20


def test_one_core_starts_no_thread(cache: Cache, tmp_path: Path) -> None:
    folder = build(tiny_program(cores=1), tmp_path / "model", cache=cache)
    before = thread_count()
    with Executable.load(folder) as executable:
        np.testing.assert_array_equal(executable(X)[0], expected(X))
        assert thread_count() == before


def test_sleeping_workers_wake_and_cost_nothing_while_they_sleep(tiny: Executable) -> None:
    for _ in range(5):
        np.testing.assert_array_equal(tiny(X)[0], expected(X))
        time.sleep(0.02)
    begin = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - begin < 0.1
    np.testing.assert_array_equal(tiny(X)[0], expected(X))


def test_a_forked_child_makes_its_own_threads(tiny: Executable) -> None:
    tiny(X)
    queue = multiprocessing.get_context("fork").SimpleQueue()

    def child() -> None:
        queue.put(bool(np.array_equal(tiny(X)[0], expected(X))))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    if process.is_alive():
        process.kill()
        pytest.fail("the child hangs")
    assert queue.get()
    np.testing.assert_array_equal(tiny(X)[0], expected(X))


def test_folders_that_are_no_models_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"is not a compiled model: it has no file model\.json"):
        Executable.load(tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "model.so").write_bytes((tiny_folder / "model.so").read_bytes()[:3000])  # opened, it ends the process
    with pytest.raises(BuildError, match=r"cannot load .*model\.so: it has 3000 bytes, but model\.json states \d+"):
        Executable.load(folder)
    (folder / "model.so").write_bytes(b"?" * (tiny_folder / "model.so").stat().st_size)
    with pytest.raises(BuildError, match=r"cannot load .*model\.so"):
        Executable.load(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(BuildError, match=r"model\.json is damaged"):
        Executable.load(folder)


def test_damaged_weights_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    Executable.load(folder, check_digest=True).close()
    (folder / "weights.bin").write_bytes(b"12345678")
    with pytest.raises(BuildError, match=r"the weights at .*model have SHA-256 ef797c81.*damaged"):
        Executable.load(folder, check_digest=True)
    (folder / "weights.bin").write_bytes(b"1234")
    with pytest.raises(BuildError, match=r"the weights at .*model have 4 bytes, but model tiny needs 8"):
        Executable.load(folder)


def test_a_cpu_that_lacks_instructions_is_refused_before_anything_runs(cache: Cache, tmp_path: Path) -> None:
    program = tiny_program()
    text = next(unit.text for unit in program.units if unit.name == "runtime.cpp")
    others = tuple(unit for unit in program.units if unit.name != "runtime.cpp")
    program = replace(program, units=(*others, runtime_unit(text, ("-mavx2", "-mavx9000", "-mprefer-width=9"))))
    folder = build(program, tmp_path / "model", cache=cache)
    with pytest.raises(BuildError, match=r"compiled for a CPU with avx2 avx9000, and this CPU lacks avx9000"):
        Executable.load(folder)


def run_threads(work: Callable[[int], None], count: int) -> None:
    """Call work(0) ... work(count - 1), each in a thread."""
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def thread_count() -> int:
    """Threads of this process, also those that Python does not know."""
    return len(list(Path("/proc/self/task").iterdir()))
