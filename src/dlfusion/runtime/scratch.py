"""Folders for files that shall not stay: a lock tells those in use from those that a killed process has left."""

import atexit
import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path

_STALE_SECONDS = 24 * 3600
_SCRATCH = "dlfusion-scratch-"
_RANDOM = "?" * 8
"""What `tempfile` puts behind a prefix."""


def scratch_folder() -> Path:
    """The folder for temporary files of this process, in the system's (TMPDIR); it goes when the process ends.

    If the process is killed, the next one that asks for its own folder removes it.
    """
    return _scratch_folder(tempfile.gettempdir(), os.getpid())


def locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder, and the open file that locks it until the process ends or closes it.

    Before, folders of the same prefix that nobody has locked are removed.
    """
    remove_abandoned(parent, prefix)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            # Another process may have found the folder unlocked and removed it.
            if _lock(descriptor) is not False and folder.exists():
                return folder, descriptor
            os.close(descriptor)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove folders whose process has ended; where files cannot be locked, those a day old."""
    for folder in parent.glob(glob.escape(prefix) + _RANDOM):
        with contextlib.suppress(OSError):  # another process removes it at the same time, or it is another user's
            _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        is_free = _lock(descriptor)
        if is_free is None:
            is_free = os.fstat(descriptor).st_mtime < time.time() - _STALE_SECONDS
        if is_free:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Whether the folder is this process's now; None where the file system has no locks, as some networks' have none.

    The kernel gives a lock back when the process ends, whatever ends it; process numbers would be used again, and mean
    nothing in another container.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@lru_cache(maxsize=1)
def _scratch_folder(parent: str, process: int) -> Path:
    folder, _ = locked_folder(Path(parent), _SCRATCH)
    atexit.register(_remove_own, folder, process)
    return folder


def _remove_own(folder: Path, process: int) -> None:
    """A process forked from the owner ends before it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
