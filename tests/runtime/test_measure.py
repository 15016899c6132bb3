"""Timing in turns."""

import itertools
import time
import weakref
from collections.abc import Callable

import pytest

from dlfusion.runtime.measure import (
    MINIMUM_SAMPLES,
    Measurement,
    Setting,
    interleave,
    take_turns,
    time_slice,
    without_result,
)


def sleeper(name: str, seconds: float, calls: list[str]) -> Callable[[], None]:
    def run() -> None:
        calls.append(name)
        time.sleep(seconds)

    return run


def test_candidates_take_turns_and_all_samples_are_kept() -> None:
    calls: list[str] = []
    candidates = {"short": sleeper("short", 0.01, calls), "long": sleeper("long", 0.03, calls)}
    settings = {name: Setting("a machine", "a compiler", (name,)) for name in candidates}
    result = interleave(candidates, seconds=0.6, warmup=1, settings=settings)

    slices = [name for index, name in enumerate(calls) if index == 0 or calls[index - 1] != name]
    assert slices.count("short") >= 3
    assert slices.count("long") >= 3
    assert list(result) == ["short", "long"]
    assert 0.01 <= result["short"].minimum <= result["short"].median
    assert result["short"].median < 0.03 <= result["long"].minimum
    assert result["long"].setting == Setting("a machine", "a compiler", ("long",))
    assert len(result["long"].samples) < calls.count("long")  # warm-up and first runs are not counted


def test_slow_candidates_still_get_samples() -> None:
    calls: list[str] = []
    result = interleave({"slow": sleeper("slow", 0.06, calls)}, seconds=0.0, warmup=0)
    assert len(result["slow"].samples) >= MINIMUM_SAMPLES


def test_minimum_and_median() -> None:
    measurement = Measurement("m", (3.0, 1.0, 2.0, 9.0), Setting("a machine"))
    assert measurement.minimum == 1.0
    assert measurement.median == pytest.approx(2.5)
    assert measurement.verdict == "not checked"


def test_turns_give_the_results_of_the_counted_runs() -> None:
    numbers = itertools.count()

    def slow() -> int:
        time.sleep(0.01)
        return -1

    first, second = take_turns([lambda: next(numbers), slow], seconds=0.0, warmup=3)
    assert len(first) >= MINIMUM_SAMPLES
    results = [number for _, number in first]
    assert results == sorted(results)
    assert results[0] >= 4  # three runs to warm up, and the first of the slice
    assert all(seconds >= 0.01 and result == -1 for seconds, result in second)


def test_each_round_begins_with_another_candidate() -> None:
    calls: list[str] = []
    take_turns([sleeper(name, 0.06, calls) for name in "abc"], seconds=0.0, warmup=0)
    slices = [name for name, _ in itertools.groupby(calls)]
    assert "".join(slices) == "abcbcacab"[: len(slices)]
    assert len(slices) > 4


def test_a_result_that_nobody_reads_is_freed_at_once() -> None:
    class Result:
        pass

    alive: weakref.WeakSet[Result] = weakref.WeakSet()
    most = 0

    def run() -> Result:
        nonlocal most
        most = max(most, len(alive))
        result = Result()
        alive.add(result)
        return result

    counted: list[tuple[float, None]] = []
    time_slice(without_result(run), counted)
    assert len(counted) > 1
    assert most == 0
    interleave({"run": run}, seconds=0.0)
    assert most == 0
