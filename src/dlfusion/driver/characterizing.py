"""Learning a target: synthesized layers measured, models fitted, a profile written."""

import tempfile
from pathlib import Path

from dlfusion.cost.profile import Profile
from dlfusion.driver.planning import PathLike, SearchProgress, as_target, profile_path
from dlfusion.errors import InputError
from dlfusion.targets.target import Target
from dlfusion.tuning.session import Session
from dlfusion.tuning.store import Store


def characterize(
    target: Target | PathLike = "cpu",
    *,
    grid: str = "default",
    output: PathLike | None = None,
    database: PathLike | None = None,
    progress: SearchProgress | None = None,
) -> Profile:
    """Measures synthesized layers and chains on every core count of a target, fits models, and writes the profile.

    Every measurement goes into the database as it happens: an interrupted run continues where it stopped.

    Args:
        target: `cpu`, the name of a shipped machine file, the path of one, or a `Target`.
        grid: how many points are measured: `small`, `default` or `large`.
        output: the file to write (default: `profile_path`, where plans for this target look for it).
        database: where measurements are kept (default: a file in the user's cache folder).
        progress: called with what is measured, the points done and the points in all.

    Raises:
        InputError: the grid is unknown, or the file cannot be written.
        DlfusionError: measuring failed; the message says where.
    """
    # Imported here because nothing else of the driver needs it: importing takes time that every compile would pay.
    from dlfusion.characterization.run import characterize as run

    device = as_target(target)
    path = profile_path(device) if output is None else Path(output)
    with Store(None if database is None else Path(database)) as store, Session(device, store) as session:
        profile = run(device, session.block_samples, grid, progress)
    _write(path, profile.to_json())
    return profile


def _write(path: Path, text: str) -> None:
    """All or nothing: a reader never sees half a profile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            try:
                file.write(text)
                file.flush()
                part.chmod(0o644)  # temporary files are readable by their owner alone
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InputError(f"cannot write the profile {path}: {error}") from error
