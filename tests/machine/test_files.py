"""Proves that machine files are read to base units, and that every mistake in one is named with what to do."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from dlfusion.errors import MachineError
from dlfusion.machine.accelerator import Accelerator, Provenance, Quantity
from dlfusion.machine.files import ENTRIES, load_machine, machine_files, scalable, scaled
from dlfusion.machine.units import UNITS

NUMBERS = {
    "core_counts": ("[1, 2, 4]", "cores", "published"),
    "element": ("2", "B", "published"),
    "operation_rate": ("0.5", "TFLOP/s", "derived"),
    "vector_rate": ("32", "GOP/s", "assumed"),
    "array_inputs": ("16", "channels", "assumed"),
    "array_outputs": ("8", "channels", "derived"),
    "buffer": ("0.25", "MiB", "assumed"),
    "weight_buffer": ("300", "kB", "assumed"),
    "channels": ("2", "channels", "published"),
    "channel_bandwidth": ("25.6", "GB/s", "published"),
    "core_bandwidth": ("1", "GiB/s", "assumed"),
    "launch_time": ("10", "us", "assumed"),
    "synchronization_time": ("0.5", "ms", "assumed"),
    "tile_time": ("200", "ns", "assumed"),
}
CLUSTER = {
    "cluster_cores": ("2", "cores", "assumed"),
    "cluster_memory": ("1", "MiB", "assumed"),
    "cluster_bandwidth": ("0.1", "TB/s", "assumed"),
}

Numbers = dict[str, tuple[str, str, str]]


def table(key: str, value: str, unit: str, provenance: str) -> str:
    return f'[{key}]\nvalue = {value}\nunit = "{unit}"\nprovenance = "{provenance}"\nsource = "why {key}"\n'


def text_of(numbers: Numbers) -> str:
    return 'name = "toy"\n' + "".join(table(key, *parts) for key, parts in numbers.items())


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Accelerator]:
    def load_text(text: str) -> Accelerator:
        path = tmp_path / "toy.toml"
        path.write_text(text, encoding="utf-8")
        return load_machine(path)

    return load_text


Load = Callable[[str], Accelerator]


def test_numbers_become_base_units(load: Load) -> None:
    assert load(text_of({**NUMBERS, **CLUSTER})) == Accelerator(
        name="toy",
        core_counts=(1, 2, 4),
        element_bytes=2,
        operations_per_second=5e11,
        vector_operations_per_second=3.2e10,
        array_inputs=16,
        array_outputs=8,
        buffer_bytes=1 << 18,
        weight_buffer_bytes=300_000,
        channels=2,
        channel_bytes_per_second=2.56e10,
        core_bytes_per_second=float(1 << 30),
        launch_seconds=1e-5,
        synchronization_seconds=5e-4,
        tile_seconds=2e-7,
        cluster_cores=2,
        cluster_memory_bytes=1 << 20,
        cluster_bytes_per_second=1e11,
    )


def test_quantities_keep_what_the_file_says(load: Load) -> None:
    machine = load(text_of(NUMBERS))
    assert machine.quantities["weight_buffer"] == Quantity(300.0, "kB", Provenance.ASSUMED, "why weight_buffer")
    assert machine.quantities["core_counts"].value == 4.0
    assert tuple(machine.quantities) == tuple(NUMBERS)
    assert machine.cluster_cores == 1


def test_every_number_of_an_accelerator_can_be_written() -> None:
    attributes = {field.name for field in fields(Accelerator)} - {"name", "quantities"}
    assert {entry.attribute for entry in ENTRIES.values()} == attributes
    assert {entry.dimension for entry in ENTRIES.values()} == set(UNITS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"buffer": None}, "missing buffer"),
        ({"bufer": ("1", "B", "assumed")}, "unknown bufer"),
        ({"buffer": ("1", "GB/s", "assumed")}, r"\[buffer\]: unit 'GB/s' measures no size. Use one of B, kB"),
        ({"launch_time": ("1", "B", "assumed")}, r"\[launch_time\]: unit 'B' measures no time"),
        ({"buffer": ("1", "B", "guessed")}, r"\[buffer\]: provenance 'guessed'. Use one of published, derived"),
        ({"buffer": ("0", "B", "assumed")}, r"\[buffer\]: value 0 is not positive"),
        ({"buffer": ("-2", "B", "assumed")}, r"\[buffer\]: value -2 is not positive"),
        ({"buffer": ("nan", "B", "assumed")}, "not positive"),
        ({"buffer": ("inf", "B", "assumed")}, "not positive"),
        ({"buffer": ("true", "B", "assumed")}, "not positive"),
        ({"buffer": ('"1"', "B", "assumed")}, "not positive"),
        ({"buffer": ("1" + "0" * 400, "B", "assumed")}, "not positive"),
        ({"buffer": ("0.3", "KiB", "assumed")}, r"\[buffer\]: 0.3 KiB is 307.2, not a whole number"),
        ({"launch_time": ("1e-300", "s", "assumed")}, r"\[launch_time\]: 1e-300 s is out of all proportion"),
        ({"channel_bandwidth": ("1e300", "TB/s", "assumed")}, "out of all proportion"),
        ({"array_inputs": ("1e30", "channels", "assumed")}, "out of all proportion"),
        ({"weight_buffer": ("100", "B", "assumed")}, r"\[weight_buffer\]: 100 B per core. At least 1024 B"),
        ({"channels": ("8", "channels", "assumed")}, r"\[channels\]: 8 channels for 4 cores, each of which uses one"),
        ({"core_counts": ("[1, 1" + "0" * 400 + "]", "cores", "published")}, "counts from 1 to 65536"),
        ({"core_counts": ("4", "cores", "published")}, r"\[core_counts\]: value 4 is no ascending list"),
        ({"core_counts": ("[2, 1]", "cores", "published")}, "no ascending list"),
        ({"core_counts": ("[]", "cores", "published")}, "no ascending list"),
        ({"core_counts": ("[0, 1]", "cores", "published")}, "no ascending list"),
        ({"cluster_cores": ("2", "cores", "assumed")}, "missing cluster_memory, cluster_bandwidth"),
        ({**CLUSTER, "cluster_cores": ("8", "cores", "assumed")}, "8 of 4 cores share a cluster memory"),
        ({**CLUSTER, "cluster_cores": ("1", "cores", "assumed")}, "1 of 4 cores share a cluster memory"),
    ],
)
def test_a_wrong_number_is_named(load: Load, changes: dict[str, tuple[str, str, str] | None], problem: str) -> None:
    merged = {**NUMBERS, **changes}
    with pytest.raises(MachineError, match=problem) as failure:
        load(text_of({key: parts for key, parts in merged.items() if parts is not None}))
    assert "toy.toml" in str(failure.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "toy"', "", "`name` is missing"),
        ('name = "toy"', "name = 3", "`name` is missing"),
        ('name = "toy"', "name = " + "1" * 5000, "is no valid TOML"),
        ('name = "toy"', "name = " + "[" * 100_000, "is no valid TOML"),
        ('name = "toy"', "name = ", "is no valid TOML .*docs/machines.md"),
        ('source = "why buffer"', "", r"\[buffer\]: missing or unknown source"),
        ('source = "why buffer"', 'source = " "', r"\[buffer\]: source is empty"),
        ('source = "why buffer"', 'source = "x"\nnote = 1', r"\[buffer\]: missing or unknown note"),
        ('unit = "MiB"', "unit = []", r"\[buffer\]: unit \[\]"),
        (table("buffer", *NUMBERS["buffer"]), "", "missing buffer"),
        ('name = "toy"\n', 'name = "toy"\nelement = 2\n', "is no valid TOML"),
    ],
)
def test_a_wrong_text_is_named(load: Load, old: str, new: str, problem: str) -> None:
    text = text_of(NUMBERS)
    assert old in text
    with pytest.raises(MachineError, match=problem):
        load(text.replace(old, new, 1))


def test_a_bare_number_has_no_provenance(load: Load) -> None:
    numbers = {key: parts for key, parts in NUMBERS.items() if key != "element"}
    with pytest.raises(MachineError, match=r"\[element\]: expected a table, found 2. Give it value, unit"):
        load(text_of(numbers).replace('name = "toy"', 'name = "toy"\nelement = 2'))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"cannot be read .* one that ships: cocco, mlu100, two_level"):
        load_machine(tmp_path / "nothing.toml")


def test_shipped_files_give_each_number_a_source() -> None:
    assert list(machine_files()) == ["cocco", "mlu100", "two_level"]
    for name, path in machine_files().items():
        machine = load_machine(path)
        assert machine.name == name
        assert all(len(quantity.source) > 5 for quantity in machine.quantities.values())


def test_the_mlu100_is_the_published_device_and_the_rest_is_assumed() -> None:
    machine = load_machine(machine_files()["mlu100"])
    assert machine.core_counts == (1, 2, 4, 8, 16, 32)
    assert machine.cores * machine.operations_per_second == 16e12
    assert machine.channels * machine.channel_bytes_per_second == pytest.approx(102.4e9)
    assert {"buffer", "weight_buffer", "launch_time", "synchronization_time", "tile_time"} <= set(scalable(machine))
    assert {"operation_rate", "channel_bandwidth", "channels", "core_counts"}.isdisjoint(scalable(machine))


def test_scaling_changes_one_assumed_number_and_the_fingerprint(load: Load) -> None:
    machine = load(text_of(NUMBERS))
    half = scaled(machine, "buffer", 0.5)
    assert half.buffer_bytes == machine.buffer_bytes // 2
    assert half.quantities["buffer"] == Quantity(0.125, "MiB", Provenance.ASSUMED, "why buffer (here times 0.5)")
    assert half.fingerprint != machine.fingerprint
    assert scaled(half, "buffer", 2) == machine
    assert scaled(machine, "launch_time", 2).launch_seconds == 2e-5
    assert scaled(machine, "array_inputs", 0.01).array_inputs == 1


def test_only_assumed_numbers_are_scaled(load: Load) -> None:
    machine = load(text_of(NUMBERS))
    for name in ("channels", "core_counts", "nonsense"):
        with pytest.raises(MachineError, match=f"`{name}` is no assumed number of the machine toy; assumed are vector"):
            scaled(machine, name, 2)
    with pytest.raises(ValueError, match="positive"):
        scaled(machine, "buffer", 0)


def test_the_document_has_a_full_example_and_names_every_number(load: Load) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "machines.md").read_text(encoding="utf-8")
    machine = load(text.partition("```toml\n")[2].partition("```")[0])
    assert (machine.name, machine.cores, len(scalable(machine))) == ("my_npu", 8, 4)
    for key, entry in ENTRIES.items():
        assert f"`{key}`" in text
        assert all(unit.removesuffix("/s") in text for unit in UNITS[entry.dimension])
