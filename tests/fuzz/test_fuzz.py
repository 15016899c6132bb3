"""A few damaged models through the compiler (`make fuzz` tries thousands), and that nothing bad would go unnoticed."""

import ctypes
import time
from collections.abc import Callable

import numpy as np
import pytest

from dlfusion.errors import ModelError, VerificationError
from tests.fuzz.case import Outcome, content_of, in_child, run
from tests.fuzz.run import report

CASES = 60


def test_damaged_models_are_compiled_or_refused() -> None:
    outcomes = [run(seed) for seed in range(CASES)]
    assert [outcome for outcome in outcomes if outcome.is_finding] == []
    assert {outcome.kind for outcome in outcomes} == {"compiled", "refused"}


def test_a_seed_gives_the_same_model() -> None:
    assert content_of(7) == content_of(7)
    assert len({content_of(seed) for seed in range(20)}) == 20


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("action", "kind", "where"),
    [
        (lambda: None, "compiled", ""),
        (lambda: _raise(ModelError("no")), "refused", "ModelError"),
        (lambda: _raise(VerificationError("no")), "bug", "VerificationError"),
        (lambda: _raise(KeyError("no")), "bug", "KeyError at test_fuzz.py"),
        (lambda: np.ones(5 << 28), "bug", "MemoryError at numeric.py"),
        (lambda: ctypes.string_at(0), "crash", "signal 11"),
        (lambda: time.sleep(60), "hang", "over 1 s"),
    ],
)
def test_whatever_happens_is_told(action: Callable[[], None], kind: str, where: str) -> None:
    outcome = in_child(3, action, 1.0 if kind == "hang" else 20.0)
    assert (outcome.seed, outcome.kind) == (3, kind)
    assert where in outcome.where


def test_findings_are_reported_once_with_all_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([Outcome(1, "compiled"), Outcome(2, "refused", "ModelError")]) == 0
    assert report([Outcome(seed, "bug", "KeyError at x.py:1", "the traceback") for seed in (4, 5)]) == 1
    text = capsys.readouterr().out
    assert text.count("the traceback") == 1
    assert "KeyError at x.py:1: 2 times, seeds 4, 5" in text
