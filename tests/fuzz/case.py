"""One mutated model through the compiler, in a process of its own with limits of time and memory."""

import faulthandler
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Literal

import dlfusion
import dlfusion.frontend.prepared  # once, before processes are forked
from dlfusion.driver import import_model, verify
from dlfusion.errors import DlfusionError, VerificationError
from dlfusion.targets.cpu.isa import choose_isa
from dlfusion.targets.cpu.target import generate
from tests.fuzz.bases import bases
from tests.fuzz.mutations import mutated

SECONDS = 10.0
BUILD_SECONDS = 60.0
MEMORY_BYTES = 4 << 30
STRATEGIES = ("baseline", "fuse-all", "dlfusion")
CASES_PER_CODE, CASES_PER_BUILD = 4, 200
"""Code is generated for every so many cases, and every so many are built, run and compared with NumPy."""

Kind = Literal["compiled", "refused", "bug", "crash", "hang"]


@dataclass(frozen=True)
class Outcome:
    """How a case ended. `where` tells bugs apart: the exception and the line that raised it, or the signal."""

    seed: int
    kind: Kind
    where: str = ""
    text: str = ""

    @property
    def is_finding(self) -> bool:
        """True if the compiler neither did its work nor said why it cannot."""
        return self.kind not in ("compiled", "refused")


def content_of(seed: int) -> bytes:
    """The model file of a case."""
    random = Random(seed)
    return mutated(random.choice(bases()), random)


def run(seed: int) -> Outcome:
    """Runs a case in a child process and waits for it."""
    seconds = BUILD_SECONDS if seed % CASES_PER_BUILD == 0 else SECONDS
    with tempfile.TemporaryDirectory(prefix="dlfusion-fuzz-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content_of(seed))
        return in_child(seed, lambda: compiled(seed, path), seconds)


def compiled(seed: int, path: Path) -> None:
    """Takes the model of a case as far as its seed says."""
    network = import_model(path)
    strategy = STRATEGIES[seed % len(STRATEGIES)]
    if seed % CASES_PER_BUILD == 0:
        with dlfusion.compile(network, strategy=strategy) as model:
            verify(model)
        return
    plan = dlfusion.plan(network, strategy=strategy)
    if seed % CASES_PER_CODE == 0:
        generate(network, plan, choose_isa(None))


def in_child(seed: int, action: Callable[[], None], seconds: float) -> Outcome:
    """The outcome of an action in a forked process that may take so long."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _limit_memory()
            os.write(writing, json.dumps(asdict(_guarded(seed, action))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    content = _read(reading, seconds)
    if content is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if content is None:
        return Outcome(seed, "hang", f"over {seconds:g} s")
    if not content:
        ended = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        return Outcome(seed, "crash", ended)
    return Outcome(**json.loads(content))


def _limit_memory() -> None:
    """The limit of memory, and nothing written to the terminal or into a core file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.dup2(nothing, sys.stderr.fileno())


def _read(descriptor: int, seconds: float) -> bytes | None:
    """All that the child says; None if it takes too long."""
    content, deadline = b"", time.monotonic() + seconds
    try:
        while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(descriptor, 1 << 16)
            if not part:
                return content
            content += part
        return None
    finally:
        os.close(descriptor)


def _guarded(seed: int, action: Callable[[], None]) -> Outcome:
    try:
        action()
    except VerificationError as error:
        return Outcome(seed, "bug", "VerificationError", str(error))
    except DlfusionError as error:
        return Outcome(seed, "refused", type(error).__name__, str(error)[:4000])
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what we look for
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "dlfusion" in Path(frame.filename).parts] or frames
        where = f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}"
        return Outcome(seed, "bug", where, "".join(traceback.format_exception(error))[-4000:])
    return Outcome(seed, "compiled")
