"""Timing several candidates against each other: in turns, so that a noisy moment hits all of them."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MINIMUM_SAMPLES = 3
"""Each candidate runs at least this often, however long that takes."""

_SLICE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how something was measured: the CPU's name, the compiler and its flags."""

    machine: str
    compiler: str = ""
    flags: tuple[str, ...] = ()


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
    """Time each candidate for about `seconds`, all in turns.

    Each candidate first runs `warmup` times untimed. Then every candidate gets a slice of a tenth of a second, or one
    run if that takes longer, and the next turn goes through them in the opposite order, until each has had its time.
    The first run of a slice is not counted: it finds the caches full of another candidate's data.
    """
    for run in candidates.values():
        for _ in range(warmup):
            run()
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    spent = dict.fromkeys(candidates, 0.0)
    turn = list(candidates)
    while turn:
        for name in turn:
            spent[name] += _time_slice(candidates[name], samples[name])
        unfinished = [name for name in turn if spent[name] < seconds or len(samples[name]) < MINIMUM_SAMPLES]
        turn = unfinished[::-1]
    here = Setting(platform.processor() or platform.machine())
    return {
        name: Measurement(name, tuple(samples[name]), here if settings is None else settings[name])
        for name in candidates
    }


def _time_slice(run: Callable[[], object], samples: list[float]) -> float:
    """Run once uncounted, then counted until the slice is over, at least once; returns the seconds it took in all."""
    begin = time.perf_counter()
    run()
    start = time.perf_counter()
    while True:
        run()
        end = time.perf_counter()
        samples.append(end - start)
        if end - begin >= _SLICE_SECONDS:
            return end - begin
        start = end
