"""Machine files: an accelerator described in TOML, each number with its unit and where it comes from.

`docs/machines.md` explains the format; `machine/files/` holds the files that ship with the package.
"""

import math
import reprlib
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from dlfusion.errors import MachineError
from dlfusion.machine.accelerator import Accelerator, Provenance, Quantity
from dlfusion.machine.units import UNITS, Dimension

FOLDER = Path(__file__).parent / "files"
"""Where the files of the package are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A number that a machine file may state: which attribute of `Accelerator` it becomes, and what it measures.

    `whole` numbers have no fraction in base units. An entry that is not `needed` may be left out; those that are not
    needed describe the cluster memory and come together or not at all.
    """

    attribute: str
    dimension: Dimension
    whole: bool = False
    needed: bool = True


ENTRIES: Mapping[str, Entry] = {
    "core_counts": Entry("core_counts", Dimension.COUNT_OF_CORES, whole=True),
    "element": Entry("element_bytes", Dimension.SIZE, whole=True),
    "operation_rate": Entry("operations_per_second", Dimension.RATE),
    "vector_rate": Entry("vector_operations_per_second", Dimension.RATE),
    "array_inputs": Entry("array_inputs", Dimension.COUNT_OF_CHANNELS, whole=True),
    "array_outputs": Entry("array_outputs", Dimension.COUNT_OF_CHANNELS, whole=True),
    "buffer": Entry("buffer_bytes", Dimension.SIZE, whole=True),
    "weight_buffer": Entry("weight_buffer_bytes", Dimension.SIZE, whole=True),
    "channels": Entry("channels", Dimension.COUNT_OF_CHANNELS, whole=True),
    "channel_bandwidth": Entry("channel_bytes_per_second", Dimension.BANDWIDTH),
    "core_bandwidth": Entry("core_bytes_per_second", Dimension.BANDWIDTH),
    "launch_time": Entry("launch_seconds", Dimension.TIME),
    "synchronization_time": Entry("synchronization_seconds", Dimension.TIME),
    "tile_time": Entry("tile_seconds", Dimension.TIME),
    "cluster_cores": Entry("cluster_cores", Dimension.COUNT_OF_CORES, whole=True, needed=False),
    "cluster_memory": Entry("cluster_memory_bytes", Dimension.SIZE, whole=True, needed=False),
    "cluster_bandwidth": Entry("cluster_bytes_per_second", Dimension.BANDWIDTH, needed=False),
}
"""The numbers of a machine file by their names in it."""

_LEAST, _LARGEST = 1e-15, 1e18
"""Beyond these no number makes sense in base units, and arithmetic with it would end in zero or infinity."""

_MOST_CORES = 1 << 16

_LEAST_BUFFER_BYTES = 1024
"""With less, a simulated layer falls apart into so many pieces that it would take hours."""

_MEMBERS = ("value", "unit", "provenance", "source")


def machine_files() -> Mapping[str, Path]:
    """The machine files that ship with the package, by the names that users call them, in alphabetical order."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def load_machine(path: Path) -> Accelerator:
    """The accelerator that a machine file describes, in base units.

    Raises:
        MachineError: the file cannot be read or is no TOML; a number is missing, unknown, of a wrong unit, not
            positive or not whole; the message names file, number and what to do.
    """
    content = _read(path)
    name = content.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _error(path, "`name` is missing or empty", 'Write one as the first line: name = "my_npu".')
    unknown = [key for key in content if key not in ("name", "description") and key not in ENTRIES]
    if unknown:
        raise _error(path, f"unknown {', '.join(unknown)}", f"The numbers are {', '.join(ENTRIES)}.")
    _check_complete(path, content)
    attributes: dict[str, Any] = {}
    quantities: dict[str, Quantity] = {}
    for key, entry in ENTRIES.items():
        if key in content:
            attributes[entry.attribute], quantities[key] = _quantity(path, key, entry, content[key])
    machine = Accelerator(name=name, quantities=quantities, **attributes)
    _check_parts(path, machine)
    return machine


def scalable(machine: Accelerator) -> tuple[str, ...]:
    """Names of the assumed numbers, apart from the core counts: what a sensitivity table halves and doubles."""
    return tuple(
        key
        for key, quantity in machine.quantities.items()
        if quantity.provenance is Provenance.ASSUMED and key != "core_counts"
    )


def scaled(machine: Accelerator, name: str, factor: float) -> Accelerator:
    """The machine with one assumed number multiplied by `factor`; whole numbers are rounded, to at least 1.

    Raises:
        MachineError: the machine has no assumed number of that name.
        ValueError: the factor is not positive.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"a factor must be positive, got {factor}")
    if name not in scalable(machine):
        offered = ", ".join(scalable(machine)) or "none"
        raise MachineError(f"`{name}` is no assumed number of the machine {machine.name}; assumed are {offered}.")
    entry, quantity = ENTRIES[name], machine.quantities[name]
    value = getattr(machine, entry.attribute) * factor
    if entry.whole:
        value = max(1, round(value))
    changed = replace(
        quantity,
        value=value / UNITS[entry.dimension][quantity.unit],
        source=f"{quantity.source} (here times {factor:g})",
    )
    quantities = {**machine.quantities, name: changed}
    attributes: dict[str, Any] = {entry.attribute: value, "quantities": quantities}
    return replace(machine, **attributes)


def _error(path: Path, problem: str, advice: str) -> MachineError:
    return MachineError(f"Machine file {path}: {problem}. {advice}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        shipped = ", ".join(machine_files())
        raise _error(
            path, f"cannot be read ({error.strerror})", f"Name another file, or one that ships: {shipped}."
        ) from None
    except (ValueError, RecursionError) as error:  # also numbers and nesting beyond Python's limits
        raise _error(
            path, f"is no valid TOML ({error})", "Correct it there; docs/machines.md has a full example."
        ) from None


def _check_complete(path: Path, content: Mapping[str, Any]) -> None:
    missing = [key for key, entry in ENTRIES.items() if entry.needed and key not in content]
    if missing:
        raise _error(path, f"missing {', '.join(missing)}", f"Add a table [{missing[0]}] with {', '.join(_MEMBERS)}.")
    cluster = [key for key, entry in ENTRIES.items() if not entry.needed]
    absent = [key for key in cluster if key not in content]
    if absent and len(absent) < len(cluster):
        raise _error(
            path,
            f"missing {', '.join(absent)}",
            f"A cluster memory needs all of {', '.join(cluster)}; a machine without one has none of them.",
        )


def _check_parts(path: Path, machine: Accelerator) -> None:
    """What single numbers do not show: memories too small to work with, and parts that no core would use."""
    for key in ("buffer", "weight_buffer"):
        size = getattr(machine, ENTRIES[key].attribute)
        if size < _LEAST_BUFFER_BYTES:
            raise _error(path, f"[{key}]: {size} B per core", f"At least {_LEAST_BUFFER_BYTES} B can be simulated.")
    if machine.channels > machine.cores:
        raise _error(
            path,
            f"[channels]: {machine.channels} channels for {machine.cores} cores, each of which uses one",
            f"Write at most {machine.cores}, and the bandwidth that they have together in [channel_bandwidth].",
        )
    if "cluster_cores" in machine.quantities and not 1 < machine.cluster_cores <= machine.cores:
        raise _error(
            path,
            f"[cluster_cores]: {machine.cluster_cores} of {machine.cores} cores share a cluster memory",
            f"Write 2 to {machine.cores}, or leave all numbers of the cluster out.",
        )


def _quantity(path: Path, key: str, entry: Entry, table: object) -> tuple[Any, Quantity]:
    """The attribute's value in base units, and the number as it stands in the file."""
    where = f"[{key}]"
    example = "value, unit, provenance and source"
    if not isinstance(table, dict):
        raise _error(path, f"{where}: expected a table, found {table!r}", f"Give it {example}.")
    wrong = [member for member in _MEMBERS if member not in table] + [
        member for member in table if member not in _MEMBERS
    ]
    if wrong:
        raise _error(path, f"{where}: missing or unknown {', '.join(wrong)}", f"Each number has {example}.")
    unit, provenance, source = table["unit"], table["provenance"], table["source"]
    units = UNITS[entry.dimension]
    if not isinstance(unit, str) or unit not in units:
        raise _error(path, f"{where}: unit {unit!r} measures no {entry.dimension}", f"Use one of {', '.join(units)}.")
    if provenance not in list(Provenance):
        raise _error(path, f"{where}: provenance {provenance!r}", f"Use one of {', '.join(Provenance)}.")
    if not isinstance(source, str) or not source.strip():
        raise _error(path, f"{where}: source is empty", "Say where the number comes from, or why it was assumed.")
    if key == "core_counts":
        counts = _counts(path, where, table["value"])
        return counts, Quantity(float(counts[-1]), unit, Provenance(provenance), source)
    value = _positive(path, where, table["value"])
    # Decimal arithmetic, so that 10 us become 1e-05 s and not the float below it.
    base = float(Decimal(str(value)) * Decimal(str(units[unit])))
    if not _LEAST <= base <= _LARGEST:
        raise _error(path, f"{where}: {value:g} {unit} is out of all proportion", "Check the value and its unit.")
    quantity = Quantity(value, unit, Provenance(provenance), source)
    if not entry.whole:
        return base, quantity
    if not base.is_integer():
        raise _error(
            path, f"{where}: {value:g} {unit} is {base:g}, not a whole number", "Write a value that makes it whole."
        )
    return int(base), quantity


def _positive(path: Path, where: str, value: object) -> float:
    """A number above zero, and not beyond what a float can hold."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= sys.float_info.max:
        return float(value)
    raise _error(path, f"{where}: value {reprlib.repr(value)} is not positive", "Write a number above zero.")


def _counts(path: Path, where: str, value: object) -> tuple[int, ...]:
    """Core counts: whole numbers from 1 up, ascending, each once."""
    if isinstance(value, list) and value and all(type(count) is int and 1 <= count <= _MOST_CORES for count in value):
        counts = tuple(value)
        if counts == tuple(sorted(set(counts))):
            return counts
    raise _error(
        path,
        f"{where}: value {reprlib.repr(value)} is no ascending list of counts from 1 to {_MOST_CORES}",
        "Write one such as value = [1, 2, 4].",
    )
