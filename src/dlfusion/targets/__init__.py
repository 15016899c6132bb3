"""Devices that plans are measured on and programs are generated for, one package each; they do not know each other."""

from pathlib import Path

from dlfusion.errors import InputError
from dlfusion.machine.files import load_machine, machine_files
from dlfusion.targets.target import Target


def target_names() -> tuple[str, ...]:
    """The names of all targets that ship; the path of a machine file (TOML) names a target too."""
    return ("cpu", *sorted(machine_files()))


def find_target(name: str) -> Target:
    """The target called `name`: `cpu`, a shipped machine file such as `mlu100`, or the path of a machine file.

    Raises:
        InputError: there is no such target.
        MachineError: the machine file is wrong.
    """
    # Each target is imported when it is asked for: the CPU's needs the compiler driver, the others the simulator.
    if name == "cpu":
        from dlfusion.targets.cpu.measuring import CpuTarget

        return CpuTarget()
    shipped = machine_files().get(name)
    if shipped is None and not name.endswith(".toml"):
        raise InputError(
            f"there is no target `{name}`; choose one of {', '.join(target_names())}, or the path of a machine file "
            "(.toml)"
        )
    from dlfusion.targets.simulated.target import SimulatedTarget

    return SimulatedTarget(name if shipped else Path(name).stem, load_machine(shipped or Path(name)))
