"""Verdicts on results."""

import numpy as np
import pytest

from dlfusion.errors import VerificationError
from dlfusion.runtime.check import compare, require_equal

REFERENCE = np.array([[0.0, -200.0], [3.0, 50.0]], np.float32)


def test_the_difference_is_relative_to_the_scale_of_the_output() -> None:
    close = compare([REFERENCE + np.float32(0.015)], [REFERENCE])
    assert close.passed
    assert close.scale == 200.0
    assert close.relative == pytest.approx(7.5e-5, rel=1e-2)
    far = compare([REFERENCE + np.float32(0.03)], [REFERENCE])
    assert not far.passed
    assert "output 0 differs by at most 0.03 at a scale of 200: 1.50e-04, more than 0.0001" in str(far)


def test_the_worst_output_decides() -> None:
    verdict = compare([REFERENCE, REFERENCE + 1, REFERENCE], [REFERENCE] * 3)
    assert verdict.output == 1
    with pytest.raises(VerificationError, match=r"the tiny model: the result differs.*output 1"):
        require_equal([REFERENCE, REFERENCE + 1], [REFERENCE] * 2, "the tiny model")
    assert require_equal([REFERENCE], [REFERENCE], "the tiny model").difference == 0


@pytest.mark.parametrize(
    ("output", "reference", "passes"),
    [
        ([np.nan, 1], [np.nan, 1], True),
        ([np.nan, 1], [0, 1], False),
        ([0, 1], [np.nan, 1], False),
        ([np.inf, 1], [np.inf, 1], True),
        ([-np.inf, 1], [np.inf, 1], False),
        ([0, 0], [0, 0], True),
        ([1e-30, 0], [0, 0], False),
        ([], [], True),
    ],
)
def test_special_values(output: list[float], reference: list[float], passes: bool) -> None:
    assert compare([np.array(output, np.float32)], [np.array(reference, np.float32)]).passed is passes


def test_other_shapes_and_counts_fail() -> None:
    assert not compare([REFERENCE.reshape(-1)], [REFERENCE]).passed
    assert not compare([REFERENCE], [REFERENCE, REFERENCE]).passed
    assert compare([], []).passed
