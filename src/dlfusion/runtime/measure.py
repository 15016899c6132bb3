"""Timing several candidates against each other: in turns, so that a noisy moment hits all of them."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

MINIMUM_SAMPLES = 3
"""Each candidate runs at least this often, however long that takes."""

_SLICE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how something was measured: the machine's fingerprint, the compiler, its flags, the kernel library.

    `library` is a digest of the kernel library, or of the simulator's version.
    """

    machine: str
    compiler: str = ""
    flags: tuple[str, ...] = ()
    library: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """All samples of one candidate, in the order they were taken, in `unit`.

    `verdict` says whether the results were checked, and against what.
    """

    name: str
    samples: tuple[float, ...]
    setting: Setting
    verdict: str = "not checked"
    unit: str = "s"

    @property
    def minimum(self) -> float:
        """The shortest sample: the run that was disturbed least."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The sample in the middle: what a user meets."""
        return statistics.median(self.samples)


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    seconds: float = 1.0,
    warmup: int = 2,
    settings: Mapping[str, Setting] | None = None,
) -> Mapping[str, Measurement]:
    """Time each candidate for about `seconds`, all in turns, as `take_turns` does."""
    runs = take_turns([without_result(run) for run in candidates.values()], seconds, warmup)
    here = Setting(platform.processor() or platform.machine())
    return {
        name: Measurement(name, tuple(sample for sample, _ in counted), here if settings is None else settings[name])
        for name, counted in zip(candidates, runs, strict=True)
    }


def take_turns(
    candidates: Sequence[Callable[[], Result]], seconds: float = 1.0, warmup: int = 2
) -> tuple[tuple[tuple[float, Result], ...], ...]:
    """Run each candidate for about `seconds`, all in turns: for each its counted runs, their seconds and results.

    Each candidate first runs `warmup` times untimed. Then every candidate gets a slice of a tenth of a second, or one
    run if that takes longer, and the next turn begins with the one that was second, until each has had its time. The
    first run of a slice is not counted: it finds the caches full of another candidate's data. All results stay alive
    until the end; large ones that nobody reads are better dropped, see `without_result`.
    """
    for run in candidates:
        for _ in range(warmup):
            run()
    counted: list[list[tuple[float, Result]]] = [[] for _ in candidates]
    spent = [0.0 for _ in candidates]
    turn = list(range(len(candidates)))
    while turn:
        for index in turn:
            spent[index] += time_slice(candidates[index], counted[index])
        unfinished = [index for index in turn if spent[index] < seconds or len(counted[index]) < MINIMUM_SAMPLES]
        turn = unfinished[1:] + unfinished[:1]
    return tuple(tuple(runs) for runs in counted)


def without_result(run: Callable[[], object]) -> Callable[[], None]:
    """The same run, whose result is freed at once.

    An allocator then reuses the memory in the next run, as in a program that looks at one result after the other; if
    all results were kept, every run would wait for fresh pages.
    """

    def drop() -> None:
        run()

    return drop


def time_slice(run: Callable[[], Result], counted: list[tuple[float, Result]]) -> float:
    """Run once uncounted, then counted until the slice is over, at least once; returns the seconds it took in all."""
    begin = time.perf_counter()
    run()
    start = time.perf_counter()
    while True:
        result = run()
        end = time.perf_counter()
        counted.append((end - start, result))
        if end - begin >= _SLICE_SECONDS:
            return end - begin
        start = end
