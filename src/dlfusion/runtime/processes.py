"""Compilers as processes: run with a time limit, and ended with the build that started them, however that ends."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from dlfusion.errors import BuildError
from dlfusion.runtime.scratch import scratch_folder

TIMEOUT_VARIABLE = "DLFUSION_COMPILER_TIMEOUT"
"""The environment variable with the seconds that one call of the compiler may take."""

# Each line names all process groups that run. The input ends when the process that writes it ends, also when it is
# killed and can do nothing more itself; what runs then is what the last line names. (A signal at the parent's death,
# PR_SET_PDEATHSIG, would end the compiler driver and leave the compiler that the driver started.)
_GUARD = 'while read -r line; do running=$line; done; for group in $running; do kill -9 "-$group"; done 2>/dev/null'


class ProcessGroup:
    """The compilers that one build has running, so that a failure, Ctrl-C or its own death can end them all.

    Usable as a context manager, and only so: leaving it ends what runs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self._ended = False

    def __enter__(self) -> Self:
        self._guard = _start_guard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if self._guard is not None:
            self._guard.communicate()  # closes its input

    def run(self, command: Sequence[str], folder: Path, timeout_seconds: float) -> tuple[int, str]:
        """Run a command in a folder; return its exit status and everything it printed.

        Raises:
            BuildError: It cannot be started, takes longer than the limit, or the group has been ended.
        """
        process = self._start(command, folder)
        try:
            text, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            raise BuildError(
                f"the compiler did not finish within {timeout_seconds:g} s: {shlex.join(command)}\n"
                "Try it by hand, choose another compiler with the environment variable CXX, or allow more seconds with "
                f"{TIMEOUT_VARIABLE}."
            ) from None
        except BaseException:
            _kill(process)
            process.communicate()
            raise
        finally:
            with self._lock:
                self._running.discard(process)
                self._tell_guard()
        return process.returncode, text

    def end(self) -> None:
        """Kill all that runs; whatever is started later fails at once."""
        with self._lock:
            self._ended = True
            for process in self._running:
                _kill(process)

    def _start(self, command: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
        with self._lock:
            if self._ended:
                raise BuildError(f"the build was stopped before: {shlex.join(command)}")
            # Compilers that are killed leave their temporary files where those of this process go.
            environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(scratch_folder())}
            try:
                # A session of its own: Ctrl-C reaches only this process, which then ends the compilers itself.
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                    env=environment,
                )
            except OSError as error:
                raise BuildError(f"cannot start {shlex.join(command)}: {error.strerror}") from error
            self._running.add(process)
            self._tell_guard()
            return process

    def _tell_guard(self) -> None:
        """Name all groups that run; a guard that somebody killed is done without."""
        if self._guard is not None and self._guard.stdin is not None:
            line = " ".join(str(process.pid) for process in self._running)
            with contextlib.suppress(OSError):
                self._guard.stdin.write(f"{line}\n".encode())


def _start_guard() -> "subprocess.Popen[bytes] | None":
    """The shell that outlives this process for a moment; None where there is no shell."""
    try:
        return subprocess.Popen(
            ("/bin/sh", "-c", _GUARD), bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a process and those it started (a compiler driver runs others)."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
