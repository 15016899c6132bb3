"""Devices that plans are measured on and programs are generated for, one package each; they do not know each other."""

from pathlib import Path

from dlfusion.errors import InputError
from dlfusion.machine.files import load_machine, machine_files
from dlfusion.targets.target import Target


def target_names() -> tuple[str, ...]:
    """The names of all targets that ship; the path of a machine file (TOML) names a target too."""
    return ("cpu", *sorted(machine_files()))


def find_target(name: str, precision: str | None = None, isa: str | None = None) -> Target:
    """The target called `name`: `cpu`, a shipped machine file such as `mlu100`, or the path of a machine file.

    `precision` is what programs for the CPU compute in, `fp32` (the default) or `bf16`; `isa` is their instruction set,
    `avx512`, `avx2`, `avx512_bf16` or `neon` (default: the best of this CPU for the precision). One of another
    architecture than this machine's means a CPU elsewhere. Other targets have no such choices.

    Raises:
        InputError: there is no such target, precision or instruction set, or a file has the name of another target.
        MachineError: the machine file is wrong.
    """
    # Each target is imported when it is asked for: the CPU's needs the compiler driver, the others the simulator.
    if name == "cpu":
        from dlfusion.targets.cpu.foreign import ForeignCpu
        from dlfusion.targets.cpu.isa import choose_isa, is_foreign
        from dlfusion.targets.cpu.measuring import CpuTarget
        from dlfusion.targets.cpu.precision import Precision, choose_precision

        if isa is not None and is_foreign(chosen := choose_isa(isa)):
            choose_precision(precision or Precision.FP32)
            return ForeignCpu.unknown(chosen)
        return CpuTarget(isa) if precision is None else CpuTarget(isa, precision=precision)
    shipped = machine_files().get(name)
    if shipped is None and not name.endswith(".toml"):
        raise InputError(
            f"there is no target `{name}`; choose one of {', '.join(target_names())}, or the path of a machine file "
            "(.toml)"
        )
    if precision is not None:
        raise InputError(f"the target `{name}` has no choice of precisions, so {precision} has no effect; leave it out")
    if isa is not None:
        raise InputError(f"the target `{name}` has no choice of instruction sets, so {isa} has no effect; leave it out")
    path = Path(name)
    if shipped is None and path.stem in target_names() and path.resolve() not in _shipped_paths():
        # Its profile and its results would pass for those of the target of that name.
        raise InputError(f"{path} is named as the target `{path.stem}` that ships; rename it, as `my_{path.name}`")
    from dlfusion.targets.simulated.target import SimulatedTarget

    return SimulatedTarget(name if shipped else path.stem, load_machine(shipped or path))


def _shipped_paths() -> set[Path]:
    return {path.resolve() for path in machine_files().values()}
