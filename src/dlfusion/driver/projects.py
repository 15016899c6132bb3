"""Projects: complete C++ programs in source form, for targets whose compiler is not here."""

import contextlib
import os
import shutil
from pathlib import Path

from dlfusion.driver.planning import Model, PathLike, as_target, check_plan, import_model
from dlfusion.errors import BuildError
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Plan
from dlfusion.targets.mlu100.target import WEIGHTS_FILE, Project, check, generate

PROJECT_TARGETS = ("mlu100",)
"""The targets for which projects are written."""

_MARKS = ("model.cpp", "plan.json", WEIGHTS_FILE)
"""The files by which a folder is known to hold a project."""


def check_project(network: Network) -> None:
    """Nothing, if a project can be written for the network, whatever its plan.

    Raises:
        UnsupportedError: the device's library lacks operators; the message lists every such node.
    """
    check(network)


def write_project(model: Model, plan: Plan, folder: PathLike) -> Path:
    """Writes the C++ project that runs a model on an MLU-100 by a plan; returns its folder.

    Blocks bear their simulated times, which the project's stand-in reports. Files of an older project in the folder
    are replaced, and others (such as a build folder) are left alone.

    Args:
        model: what `import_model` takes.
        plan: a plan for the target `mlu100`.
        folder: where to write; it is made if it is not there.

    Raises:
        UnsupportedError: the device's library lacks operators; the message lists every such node.
        PlanError: the plan was made for another graph, or is illegal on the device.
        BuildError: the folder holds something else, or cannot be written.
    """
    network = import_model(model)
    device = as_target("mlu100")
    check_plan(network, plan, device)
    with device.bench(network) as bench:
        (times,) = bench.time_plans([plan], 0.0)
    target = Path(folder)
    _require_place(target)
    try:
        _write(generate(network, plan, [samples[0] for samples in times.blocks]), target)
    except OSError as error:
        raise BuildError(f"cannot write the project {target}: {error}. Make room, or check access.") from error
    return target


def _require_place(folder: Path) -> None:
    """Nothing, if a project may be written there."""
    if folder.exists() and not folder.is_dir():
        raise BuildError(f"{folder} exists and is no folder: remove it or choose another")
    if folder.is_dir() and any(folder.iterdir()) and not all((folder / name).is_file() for name in _MARKS):
        raise BuildError(f"{folder} exists and is no generated project: remove it or choose another folder")


def _write(project: Project, folder: Path) -> None:
    """All files under temporary names first, so that an older project stays whole until nothing can fail for space."""
    is_new = not folder.exists()
    parts: list[tuple[Path, Path]] = []

    def part(name: str) -> Path:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        parts.append((target.with_name(f".{target.name}.{os.getpid()}.part"), target))
        return parts[-1][0]

    try:
        for name, text in project.texts.items():
            part(name).write_text(text, encoding="utf-8", newline="\n")
        project.weights.tofile(part(WEIGHTS_FILE))
        for temporary, target in parts:
            temporary.replace(target)
    except BaseException:
        for temporary, _ in parts:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
