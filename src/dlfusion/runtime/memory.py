"""How much memory this process has in use, and had at most. Mapped files count as far as they were touched."""

from pathlib import Path

from dlfusion.errors import DlfusionError

_STATUS = Path("/proc/self/status")
_CLEAR_REFERENCES = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return _status_bytes("VmRSS")


def reset_peak() -> None:
    """Make the system forget this process's highest resident memory so far.

    Raises:
        DlfusionError: this system cannot.
    """
    try:
        _CLEAR_REFERENCES.write_text(_RESET_PEAK, encoding="ascii")
    except OSError as error:
        raise DlfusionError(
            f"peak memory cannot be measured here: {_CLEAR_REFERENCES} cannot be written ({error.strerror}); "
            "measure without it: dlfusion bench --no-memory"
        ) from error


def peak_bytes() -> int:
    """The highest resident memory of this process since its start or `reset_peak`."""
    return _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    """A number of /proc/self/status, whose unit kB is 1024 bytes (proc(5))."""
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise DlfusionError(f"{_STATUS} has no {field}: this system does not tell a process's memory")
