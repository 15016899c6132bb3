"""A comparison's failures: said early, with numbers, and with what the child process printed."""

from pathlib import Path

import pytest

from dlfusion.bench.compare import Options, compare, run_worker
from dlfusion.errors import DlfusionError, InputError
from dlfusion.machine.host import usable_cpus


def test_more_cores_than_available_stop_before_any_work(tmp_path: Path) -> None:
    count = len(usable_cpus())
    with pytest.raises(InputError, match=f"{count + 1} is more than the {count} cores"):
        compare([tmp_path / "never-read.onnx"], Options(cores=(1, count + 1)))


def test_a_worker_that_fails_says_how(tmp_path: Path) -> None:
    job = {
        "model": str(tmp_path / "none.onnx"),
        "folders": {},
        "cpus": [usable_cpus()[0]],
        "ports": [],
        "seconds": 0.1,
    }
    with pytest.raises(DlfusionError, match=r"(?s)on 1 cores ended with status 1:.*none\.onnx"):
        run_worker("times", job)
