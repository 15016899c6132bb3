"""The sanitizers find what they are there for, in the way that all tests build with them."""

from pathlib import Path

import pytest

from tests.support.sanitizers import compile_sanitized, run_sanitized

FAULTS = {
    "heap-buffer-overflow": (
        "address,undefined",
        "int* volatile heap = new int[4](); int* row = heap; int end = row[argc + 3]; delete[] row; return end;",
    ),
    "detected memory leaks": ("address,undefined", "int* volatile lost = new int[4]; lost = nullptr;"),
    "signed integer overflow": ("address,undefined", "int sum = 2147483647; sum += argc; return sum == 5;"),
    "data race": ("thread", "int sum = 0; std::thread adds([&] { sum++; }); sum++; adds.join();"),
}


@pytest.mark.sanitizer
@pytest.mark.parametrize("report", FAULTS)
def test_a_planted_fault_is_found(report: str, tmp_path: Path) -> None:
    sanitizer, text = FAULTS[report]
    source = tmp_path / "fault.cpp"
    source.write_text(f"#include <thread>\nint main(int argc, char**) {{ {text} return argc == 9; }}\n")
    compile_sanitized(sanitizer, ["fault.cpp", "-o", "fault"], tmp_path)
    done = run_sanitized(tmp_path / "fault")
    assert done.returncode != 0
    assert report in done.stderr
