"""How much memory this process has in use, had at most, and can still get.

Mapped files count as far as they were touched.
"""

from pathlib import Path

from dlfusion.errors import DlfusionError, InputError

_SYSTEM = Path("/proc/meminfo")
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


def require_available(wanted_bytes: int, purpose: str) -> None:
    """Nothing, if there is so much memory: the system promises more than it has, and ends those who make use of it.

    Raises:
        InputError: there is less; `purpose` is what takes it.
    """
    free_bytes = _field_bytes(_SYSTEM, "MemAvailable")
    if free_bytes is not None and wanted_bytes > free_bytes:
        raise InputError(
            f"{purpose} takes {wanted_bytes / 2**30:.1f} GiB of memory, but only {free_bytes / 2**30:.1f} are free: "
            "choose a smaller shape, or run it where there is more"
        )


def _status_bytes(field: str) -> int:
    found = _field_bytes(_STATUS, field)
    if found is None:
        raise DlfusionError(f"{_STATUS} has no {field}: this system does not tell a process's memory")
    return found


def _field_bytes(file: Path, field: str) -> int | None:
    """A number of /proc/self/status or /proc/meminfo, whose unit kB is 1024 bytes (proc(5)); None if it has none."""
    for line in file.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None
