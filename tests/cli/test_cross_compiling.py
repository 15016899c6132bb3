"""`--isa` of another architecture: the folder is built, nothing is run, and what would have to run says why not."""

import importlib.util
import json
import platform
from pathlib import Path
from typing import Any

import pytest

from dlfusion.errors import BuildError
from dlfusion.machine.architecture import X86_64, host_architecture
from dlfusion.runtime.executable import Executable
from tests.cli.invoke import invoke, invoke_json
from tests.cli.test_errors import refused

pytestmark = pytest.mark.skipif(host_architecture() != X86_64, reason="neon is this machine's own instruction set")


@pytest.fixture(scope="module")
def built(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder for aarch64, and what the command printed."""
    pytest.importorskip("ziglang")
    folder = tmp_path_factory.mktemp("aarch64") / "tiny"
    result = invoke("compile", model, "-o", folder, "--isa", "neon", "--cores", "4")
    assert result.exit_code == 0, result.output
    return folder, " ".join(result.stdout.split())


def test_a_line_takes_the_place_of_the_check(built: tuple[Path, str]) -> None:
    folder, text = built
    assert "Built for aarch64 (neon) and not run: this machine is x86_64." in text
    assert "On one of aarch64: dlfusion run tiny --input FILE" in text
    assert "Checked" not in text
    description = json.loads((folder / "model.json").read_text())
    assert (description["architecture"], description["isa"]) == ("aarch64", "neon")


def test_the_plan_is_for_as_many_cores_as_the_other_machine_has(built: tuple[Path, str]) -> None:
    plan: dict[str, Any] = json.loads((built[0] / "plan.json").read_text())
    assert plan["machine"].startswith("any aarch64 processor; 4 cores; isa neon")


def test_json_names_the_architecture(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    found = invoke_json("compile", model, "-o", tmp_path / "out", "--isa", "neon", "--cores", "4")
    assert found["architecture"] == "aarch64"
    assert found["checked_against"] is None


def test_a_folder_of_another_architecture_is_refused_before_it_is_loaded(built: tuple[Path, str], image: Path) -> None:
    message = refused("run", built[0], "--input", image)
    assert "was compiled for aarch64 (neon), and this machine is x86_64" in message
    with pytest.raises(BuildError, match="run it on a machine of aarch64, or compile the model again"):
        Executable.load(built[0])


@pytest.mark.parametrize("strategy", ["tuned", "oracle"])
def test_strategies_that_measure_are_refused(model: Path, tmp_path: Path, strategy: str) -> None:
    pytest.importorskip("ziglang")
    out = tmp_path / "out"
    message = refused("compile", model, "-o", out, "--isa", "neon", "--strategy", strategy, "--db", tmp_path / "db")
    assert "cannot be measured on neon: that is an instruction set of aarch64, and this machine is x86_64" in message
    assert not out.exists()


@pytest.mark.parametrize("command", ["bench", "layers"])
def test_commands_that_measure_are_refused(model: Path, command: str) -> None:
    message = refused(command, model, "--isa", "neon")
    assert "neon is an instruction set of aarch64, and this machine is x86_64" in message
    assert "`dlfusion compile MODEL --isa neon -o DIR` builds one" in message


def test_without_the_compiler_the_message_says_how_to_get_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ziglang" else find(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    message = refused("compile", model, "-o", tmp_path / "out", "--isa", "neon")
    assert "no C++ compiler works for aarch64" in message
    assert "Run: pip install ziglang" in message
    assert not (tmp_path / "out").exists()


def test_a_machine_that_has_the_instructions_needs_no_cross_compiler(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There x86 is what is elsewhere."""
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    message = refused("layers", model, "--isa", "avx2")
    assert "avx2 is an instruction set of x86_64, and this machine is aarch64" in message
