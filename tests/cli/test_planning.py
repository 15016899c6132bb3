"""Plans of commands are made for the target that their options describe."""

from pathlib import Path

import pytest

from dlfusion import targets
from dlfusion.targets.target import Target
from tests.cli.invoke import invoke_json


def test_compile_plans_for_the_instruction_set_and_precision_it_compiles_for(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a strategy that measures would time other kernels than those that are built."""
    asked: list[tuple[str, str | None, str | None]] = []
    find = targets.find_target

    def recording(name: str, precision: str | None = None, isa: str | None = None) -> Target:
        asked.append((name, precision, isa))
        return find(name, precision, isa)

    monkeypatch.setattr(targets, "find_target", recording)
    invoke_json("compile", model, "-o", tmp_path / "out", "--isa", "avx2", "--precision", "bf16")
    assert asked == [("cpu", "bf16", "avx2")]
