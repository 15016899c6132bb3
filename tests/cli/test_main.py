"""Help comes at once and names everything; wrong usage ends with status 2."""

import subprocess
import sys
from typing import get_args

import pytest
from typer.main import get_command
from typer.models import OptionInfo

from dlfusion import driver
from dlfusion.cli import options
from dlfusion.cli.main import COMMANDS, app
from dlfusion.search import strategy_names
from tests.cli.invoke import invoke, invoke_json

HEAVY = ("numpy", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "PIL", "dlfusion.driver")


def test_help_lists_every_command() -> None:
    shown = invoke("--help").stdout
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_help_says_what_holds_without_an_option() -> None:
    """In brackets, which Rich takes for its own markup unless it is told that help is Markdown."""
    for name in ("compile", "bench"):
        text = " ".join(invoke(name, "--help").stdout.split())
        stated = [option.help or "" for option in get_command(app).commands[name].params]  # type: ignore[attr-defined]
        assert text.count("[default: ") >= sum("[default: " in line for line in stated) > 0


def test_help_imports_nothing_heavy() -> None:
    text = f"import sys\nimport dlfusion.cli.main\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_the_strategy_option_names_all_strategies_and_the_default_of_the_api() -> None:
    # Stated twice, since finding strategies and the driver both import NumPy, for which help does not wait.
    (option,) = (entry for entry in get_args(options.Strategy) if isinstance(entry, OptionInfo))
    assert options.DEFAULT_STRATEGY == driver.DEFAULT_STRATEGY
    assert all(name in str(option.help) for name in strategy_names())


def test_module_is_the_program() -> None:
    command = [sys.executable, "-m", "dlfusion.cli", "version"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.startswith("dlfusion 0.")


@pytest.mark.parametrize("arguments", [("compose",), ("compile",), ("explain", "m.onnx", "--cores", "0"), ("run", "m")])
def test_wrong_usage_ends_with_two(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_version_as_json() -> None:
    assert set(invoke_json("version")) == {"dlfusion"}


def test_version_is_an_option_too() -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, invoke("version").stdout)
    assert result.stdout == f"dlfusion {invoke_json('version')['dlfusion']}\n"


def test_ops_come_from_the_converters() -> None:
    from dlfusion.frontend.operators import CONVERTERS

    listed = invoke_json("ops")
    assert [entry["operator"] for entry in listed] == sorted(CONVERTERS)
    assert all(entry["limits"] for entry in listed)
    assert "ConvTranspose" in invoke("ops").stdout


def test_doctor_finds_what_compiling_needs() -> None:
    found = invoke_json("doctor")
    assert found["problems"] == []
    assert found["cores"] >= 1
    assert found["compiler"]
    assert found["compiler_version"] in invoke("doctor").stdout


def test_doctor_without_a_compiler_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "Problem:" in result.stdout
