"""Peak memory of work in a process of its own."""

import os
from functools import partial

import numpy as np
import pytest

from dlfusion.errors import DlfusionError
from dlfusion.runtime.memory import peak_resident_bytes

MEBIBYTE = 2**20


def use_memory(mebibytes: int) -> None:
    """Touch this much memory, and give it back."""
    np.ones(mebibytes * MEBIBYTE, np.uint8).sum()


def fail() -> None:
    raise ValueError("out of luck")


def test_the_peak_counts_also_when_the_memory_is_free_again() -> None:
    ballast = np.ones(300 * MEBIBYTE, np.uint8)  # what this process has does not count in the child
    assert 60 * MEBIBYTE <= peak_resident_bytes(partial(use_memory, 60)) < 75 * MEBIBYTE
    assert ballast[0] == 1


def test_failing_work_is_an_error() -> None:
    with pytest.raises(DlfusionError, match="failed: ValueError: out of luck"):
        peak_resident_bytes(fail)
    with pytest.raises(DlfusionError, match="ended with status 3"):
        peak_resident_bytes(partial(os._exit, 3))
