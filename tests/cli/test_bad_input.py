"""What is damaged, impossible or in the way ends a command with status 2, and leaves nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from dlfusion.cli.console import EXIT_USER_ERROR, guarded
from tests.cli.invoke import invoke
from tests.cli.test_errors import refused


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where a compiled model would go, in a folder that is otherwise empty."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "m"


def test_damaged_models_leave_nothing(model: Path, output: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    damaged = tmp_path / "damaged.onnx"
    for part in (b"", content[: len(content) // 2], content[:-1], content[::-1], b"\x00" * 64):
        damaged.write_bytes(part)
        assert "damaged.onnx" in refused("compile", damaged, "-o", output)
    assert list(output.parent.iterdir()) == []


def test_data_that_is_not_there(model: Path, output: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(onnx.load(model), path, save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").unlink()
    assert "Put that file beside the model" in refused("compile", path, "-o", output)
    assert list(output.parent.iterdir()) == []


def _overlapping(blocks: list[dict[str, Any]]) -> None:
    blocks[1]["first"] -= 1


def _missing(blocks: list[dict[str, Any]]) -> None:
    del blocks[0]


def _no_cores(blocks: list[dict[str, Any]]) -> None:
    blocks[0]["cores"] = 0


def _many_cores(blocks: list[dict[str, Any]]) -> None:
    blocks[0]["cores"] = 10_000


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_overlapping, "block 1: starts at layer 0, but the next layer in order is 1"),
        (_missing, "block 0: starts at layer 1, but the next layer in order is 0"),
        (_no_cores, "block 0: cores is 0, at least 1 is needed"),
        (_many_cores, "block 0: 10000 cores cannot share 17 rows"),
    ],
)
def test_plans_that_cannot_be_run(
    edit: Callable[[list[dict[str, Any]]], None], message: str, model: Path, output: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert invoke("explain", model, "--strategy", "baseline", "--save-plan", plan).exit_code == 0
    document = json.loads(plan.read_text())
    edit(document["blocks"])
    plan.write_text(json.dumps(document))
    assert message in refused("compile", model, "-o", output, "--plan", plan)
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("cores", ["0", "-1", "10000"])
def test_core_counts_that_the_machine_lacks(cores: str, model: Path, output: Path) -> None:
    assert refused("compile", model, "-o", output, "--cores", cores)
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false", "true"])
def test_compilers_that_do_not_work(
    compiler: str, model: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("DLFUSION_CACHE_DIR", str(tmp_path / "cache"))
    assert f"CXX (now '{compiler}')" in refused("compile", model, "-o", output, "--strategy", "baseline")
    assert list(output.parent.iterdir()) == []


def test_too_little_memory_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def hungry() -> None:
        np.empty(1 << 60, np.uint8)

    with pytest.raises(SystemExit) as caught:
        guarded(hungry)()
    assert caught.value.code == EXIT_USER_ERROR
    assert "not enough memory for this model and shape: Unable to allocate" in capsys.readouterr().err
