"""The shape of the repository: what a newcomer may rely on without reading the code."""

import ast
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import dlfusion
from dlfusion.ops.operator import Operator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "dlfusion"
CODE_FOLDERS = ("src", "tests", "benchmarks")
CODE_SUFFIXES = (".py", ".hpp", ".cpp", ".h")
MOST_LINES_OF_FILE = 500
MOST_LINES_OF_FUNCTION = 60
PACKAGES = sorted(folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file())

# Folders that exist on one machine only, and words that mark work left undone; in pieces, so that this file has none.
MACHINE_PATH = re.compile(
    r"(?<![\w.*])/(?:" + "|".join(("home", "root", "work", "farm", "Users", "tmp/[a-z]")) + r")\b"
)
UNDONE = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def code_files() -> list[Path]:
    """All files of code, of whatever language."""
    return sorted(
        path
        for folder in CODE_FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in CODE_SUFFIXES and "__pycache__" not in path.parts
    )


def modules() -> list[ModuleType]:
    """All modules of the package."""
    names = (info.name for info in pkgutil.walk_packages(dlfusion.__path__, "dlfusion."))
    return [importlib.import_module(name) for name in sorted(names) if not name.endswith("__main__")]


def name_of(path: Path) -> str:
    """A file's name as test identifiers show it."""
    return str(path.relative_to(ROOT))


def modules_in(package: str) -> list[ModuleType]:
    """The modules of one package, without its own `__init__`."""
    return [module for module in modules() if module.__name__.startswith(f"dlfusion.{package}.")]


@pytest.mark.parametrize("path", code_files(), ids=name_of)
def test_file_is_short_finished_and_portable(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES_OF_FILE
    for number, line in enumerate(lines, 1):
        assert not MACHINE_PATH.search(line), f"line {number} names a folder of one machine: {line.strip()}"
        assert not UNDONE.search(line), f"line {number} marks work left undone: {line.strip()}"


@pytest.mark.parametrize("path", [path for path in code_files() if path.suffix == ".py"], ids=name_of)
def test_functions_fit_on_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            assert length <= MOST_LINES_OF_FUNCTION, f"{node.name} has {length} lines"


def undocumented(module: ModuleType) -> Iterator[str]:
    """Public classes, functions and methods without a docstring of their own or of a method that they override."""
    if not module.__doc__:
        yield module.__name__
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if (inspect.isfunction(value) or inspect.isclass(value)) and not inspect.getdoc(value):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(value):
            for member, entry in vars(value).items():
                is_method = inspect.isfunction(entry) or isinstance(entry, property | classmethod | staticmethod)
                if is_method and not member.startswith("_") and not inspect.getdoc(getattr(value, member)):
                    yield f"{module.__name__}.{name}.{member}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_public_things_have_docstrings(module: ModuleType) -> None:
    assert list(undocumented(module)) == []


def test_each_operator_has_a_file_of_its_name() -> None:
    for module in modules_in("ops"):
        operators = [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, Operator)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ]
        file_name = module.__name__.rpartition(".")[2]
        expected = "".join(part.capitalize() for part in file_name.split("_"))
        assert operators in ([], [expected]), f"{module.__name__} defines {operators}"


def test_each_strategy_has_a_file_and_knows_no_other() -> None:
    files = modules_in("search.strategies")
    assert files
    for module in files:
        assert callable(module.create)
        source = inspect.getsource(module)
        others = [other.__name__ for other in files if other is not module and f"{other.__name__} import" in source]
        assert others == [], f"{module.__name__} imports {others}"


def test_each_group_of_onnx_operators_has_a_table_and_no_operator_is_in_two() -> None:
    seen: dict[str, str] = {}
    for module in modules_in("frontend.operators"):
        for operator in module.CONVERTERS:
            assert operator not in seen, f"{operator} is in {seen.get(operator)} and in {module.__name__}"
            seen[operator] = module.__name__


def test_headers_are_guarded_and_cheap_to_include() -> None:
    """Each generated unit includes the kernel headers; kernels.md of the design measured half a second for these."""
    heavy = ("immintrin.h", "iostream", "functional", "regex")
    for header in sorted((PACKAGE / "targets" / "cpu" / "include").glob("*.hpp")):
        text = header.read_text(encoding="utf-8")
        assert "#pragma once" in text, header.name
        assert not [name for name in heavy if f"#include <{name}>" in text], header.name


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_mirror_the_packages(package: str) -> None:
    assert list((ROOT / "tests" / package).rglob("test_*.py"))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_documents_name_what_exists(name: str) -> None:
    from dlfusion.cli.main import COMMANDS, GROUPS

    text = (ROOT / name).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), f"{name} links to {link}"
    for target in re.findall(r"`make ([a-z]+)`", text):
        assert f"\n{target}:" in makefile, f"{name} names make {target}"
    for command in re.findall(r"(?:^|`)dlfusion ([a-z]+)", text, re.MULTILINE):
        assert command in {*COMMANDS, *GROUPS}, f"{name} names dlfusion {command}"
    for module in re.findall(r"python -m ((?:benchmarks|dlfusion)[\w.]*)", text):
        assert importlib.util.find_spec(module), f"{name} names python -m {module}"
    for path in re.findall(r"`((?:src|tests|benchmarks|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), f"{name} names {path}"
