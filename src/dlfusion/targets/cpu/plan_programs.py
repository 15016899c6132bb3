"""Programs of several plans of one network that share one file of packed weights, and what their runs give."""

from collections.abc import Sequence
from pathlib import Path

from dlfusion.errors import BuildError
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Plan
from dlfusion.runtime.build import build
from dlfusion.runtime.cache import Cache
from dlfusion.runtime.executable import Executable
from dlfusion.targets.cpu.target import Prepared, generate
from dlfusion.targets.target import PlanTimes

WEIGHTS_FILE = "weights.bin"
"""The shared file, in the folder of the programs."""


def write_weights(prepared: Prepared, folder: Path) -> None:
    """Writes the packed weights that programs in `folder` share.

    Programs that share an older file keep its content, and a failure leaves the older file.

    Raises:
        BuildError: there is no room, or the folder cannot be written.
    """
    weights = prepared.weights.floats
    part = folder / f"{WEIGHTS_FILE}.part"
    try:
        weights.tofile(part)
        part.replace(folder / WEIGHTS_FILE)
    except OSError as error:
        size = f"{weights.nbytes} bytes of packed weights"
        raise BuildError(f"cannot write {size} to {folder}: {error}; make room there, or set TMPDIR") from error


def load_program(
    network: Network, plan: Plan, prepared: Prepared, folder: Path, name: str, cache: Cache | None = None
) -> Executable:
    """The plan's program in memory, on the weights in `folder`; closing it removes its own folder `name` there.

    Raises:
        BuildError: the compiler fails.
    """
    program = generate(network, plan, prepared.isa, prepared)
    place = folder / name
    build(program, place, cache=cache, weights_file=folder / WEIGHTS_FILE)
    return Executable.load(place, temporary=True)


def plan_times(plan: Plan, runs: Sequence[tuple[float, Sequence[float]]]) -> PlanTimes:
    """The samples of a plan from what each run of its program gives: seconds of all of it, and of each block."""
    return PlanTimes(
        tuple(total for total, _ in runs),
        tuple(tuple(blocks[index] for _, blocks in runs) for index in range(len(plan.blocks))),
    )
