"""Compiled objects on disk, found by what they were made from."""

import os
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dlfusion.runtime.scratch import scratch_folder

DEFAULT_LIMIT_BYTES = 2 << 30
"""Above this the entries that were not used for the longest time are removed."""

_STALE_SECONDS = 24 * 3600
_PARTIAL = ".partial-"


class CacheWarning(UserWarning):
    """The cache folder cannot be written, so nothing is remembered beyond this process."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of files named by a key (64 hexadecimal digits) and a suffix.

    A file appears under its name only when it is complete, so several processes can use one folder at once and a
    process that is killed leaves at most a temporary file, which a later one removes.
    """

    folder: Path

    def find(self, key: str, suffix: str) -> Path | None:
        """The file with this key, now marked as used; None if there is none."""
        path = self._path(key, suffix)
        try:
            if path.stat().st_size == 0:  # a crash of the whole machine can leave an empty file
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        except PermissionError:  # somebody else's read-only cache: usable, but the time of use stays
            return path
        except OSError:
            return path if path.exists() else None
        return path

    def temporary_path(self, key: str, suffix: str) -> Path:
        """Where a file with this key may be made before `keep` gives it its name; not yet there."""
        path = self._path(key, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(f"{_PARTIAL}{os.getpid()}-{time.monotonic_ns()}-{path.name}")

    def keep(self, temporary: Path, key: str, suffix: str) -> Path:
        """Give a complete temporary file its name; the path it is found at from now on."""
        path = self._path(key, suffix)
        return temporary.replace(path)

    def write(self, key: str, suffix: str, content: bytes) -> Path:
        """Store these bytes under the key."""
        temporary = self.temporary_path(key, suffix)
        temporary.write_bytes(content)
        return self.keep(temporary, key, suffix)

    def remove(self, key: str, suffix: str) -> None:
        """Forget the file with this key, if there is one."""
        self._path(key, suffix).unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """The sum of all files' sizes."""
        return sum(size for _, size, _ in self._entries())

    def prune(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        """Remove temporary files a day old, and the least recently used entries until the limit is kept."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for used_at, size, path in entries:
            stale = path.name.startswith(_PARTIAL) and used_at < time.time() - _STALE_SECONDS
            if stale or total > limit_bytes:
                path.unlink(missing_ok=True)
                total -= size

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}{suffix}"

    def _entries(self) -> list[tuple[float, int, Path]]:
        """Time of last use, bytes and path of every file."""
        entries = []
        for path in self.folder.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            entries.append((status.st_mtime, status.st_size, path))
        return entries


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """$DLFUSION_CACHE_DIR if it is set, else the user's cache folder of this system."""
    chosen = environment.get("DLFUSION_CACHE_DIR", "").strip()
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("dlfusion", appauthor=False))


def open_cache(folder: Path | None = None) -> Cache:
    """The cache in `folder`, or in `cache_folder()`.

    If it cannot be written, a `CacheWarning` says so and the cache is a temporary folder of this process.
    """
    wanted = cache_folder() if folder is None else folder
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):  # a file without a name: a kill at this moment leaves nothing
            pass
    except OSError as error:
        warnings.warn(
            f"the cache folder {wanted} cannot be written ({error.strerror}); compiled objects are kept for this "
            "process only. Set DLFUSION_CACHE_DIR to a folder that you can write.",
            CacheWarning,
            stacklevel=2,
        )
        return Cache(scratch_folder() / "cache")
    return Cache(wanted)
