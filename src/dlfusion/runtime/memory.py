"""How much memory a piece of work needs at its peak, measured in a process of its own."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from dlfusion.errors import DlfusionError

_STATUS = Path("/proc/self/status")
_CLEAR_REFERENCES = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def peak_resident_bytes(work: Callable[[], object], timeout_seconds: float = 600.0) -> int:
    """The highest resident memory while `work` runs in a fresh process, above what the process had before.

    `work` must be picklable: a module's function or a `functools.partial` of one. What its module imports when it is
    loaded counts as memory from before. Mapped files (weights, libraries) count as far as they were touched.

    Raises:
        DlfusionError: `work` fails, does not end in time, or this system does not tell the peak.
    """
    if not _CLEAR_REFERENCES.exists():
        raise DlfusionError("peak memory can be measured on Linux only")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(work, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(timeout_seconds):
            raise DlfusionError(f"the process that measures memory did not finish within {timeout_seconds:g} s")
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise DlfusionError(f"the process that measures memory ended with status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    if isinstance(answer, str):
        raise DlfusionError(f"the work whose memory is measured failed: {answer}")
    return int(answer)


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return _status_bytes("VmRSS")


def reset_peak() -> None:
    """Make the system forget this process's highest resident memory so far."""
    _CLEAR_REFERENCES.write_text(_RESET_PEAK, encoding="ascii")


def peak_bytes() -> int:
    """The highest resident memory of this process since its start or `reset_peak`."""
    return _status_bytes("VmHWM")


def _measure(work: Callable[[], object], sender: Connection) -> None:
    """The child's part: sends the bytes, or a text that says what went wrong."""
    try:
        reset_peak()
        before = resident_bytes()
        work()
        sender.send(max(0, peak_bytes() - before))
    except BaseException as error:
        sender.send(f"{type(error).__name__}: {error}")
        raise


def _status_bytes(field: str) -> int:
    """A number of /proc/self/status, whose unit kB is 1024 bytes (proc(5))."""
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise DlfusionError(f"{_STATUS} has no {field}: this system does not tell a process's memory")
