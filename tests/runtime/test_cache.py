"""The cache of compiled objects."""

import os
import time
from pathlib import Path

import pytest

from dlfusion.runtime.cache import Cache, CacheWarning, cache_folder, open_cache

KEY, OTHER_KEY = "a" * 64, "b" * 64


def test_what_was_written_is_found_by_key_and_suffix(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.find(KEY, ".o") is None
    path = cache.write(KEY, ".o", b"object")
    assert cache.find(KEY, ".o") == path
    assert path.read_bytes() == b"object"
    assert cache.find(KEY, ".so") is None
    assert cache.size_bytes() == 6
    cache.remove(KEY, ".o")
    assert cache.find(KEY, ".o") is None


def test_an_empty_file_is_not_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write(KEY, ".o", b"")
    assert cache.find(KEY, ".o") is None


def test_pruning_removes_what_was_not_used_and_stale_temporary_files(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for age, key in ((300, KEY), (200, OTHER_KEY), (100, "c" * 64)):
        os.utime(cache.write(key, ".o", bytes(100)), (time.time() - age,) * 2)
    abandoned, fresh = (cache.temporary_path(KEY, ".o") for _ in range(2))
    abandoned.write_bytes(b"x")
    os.utime(abandoned, (time.time() - 2 * 24 * 3600,) * 2)
    fresh.write_bytes(b"x")
    assert cache.find(KEY, ".o") is not None  # used now, so the other one is the oldest
    cache.prune(limit_bytes=250)
    assert cache.find(KEY, ".o") is not None
    assert cache.find(OTHER_KEY, ".o") is None
    assert cache.find("c" * 64, ".o") is not None
    assert (abandoned.exists(), fresh.exists()) == (False, True)


def test_a_folder_that_cannot_be_written_is_replaced_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(CacheWarning, match=r"cannot be written.*this process only.*DLFUSION_CACHE_DIR"):
        cache = open_cache(tmp_path / "file" / "cache")
    assert cache.write(KEY, ".o", b"object").exists()


def test_the_environment_chooses_the_folder(tmp_path: Path) -> None:
    assert cache_folder({"DLFUSION_CACHE_DIR": str(tmp_path)}) == tmp_path
    assert cache_folder({}).name == "dlfusion"
