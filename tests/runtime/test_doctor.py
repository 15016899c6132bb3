"""What `dlfusion doctor` is told."""

import pytest

from dlfusion.runtime.cache import Cache
from dlfusion.runtime.doctor import examine


def test_a_working_machine(cache: Cache) -> None:
    report = examine(cache)
    assert report.problem == ""
    assert report.compiler_version
    assert report.cache_folder == cache.folder
    assert report.cache_bytes > 0


def test_a_machine_without_a_compiler(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    report = examine(cache)
    assert report.compiler_command == ()
    assert "no-such-compiler: not installed" in report.problem
