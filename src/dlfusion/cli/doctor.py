"""`dlfusion doctor`: what a compilation would find on this machine."""

import typer

from dlfusion.cli import options
from dlfusion.cli.console import output, print_json
from dlfusion.errors import InputError

EXIT_PROBLEM = 1


def doctor(as_json: options.Json = False) -> None:
    """Show compiler, instruction sets, cores, caches and cache folder; exit with 1 if nothing can be compiled."""
    from dlfusion.machine import host
    from dlfusion.report.table import Column, Table, terminal
    from dlfusion.report.units import bytes_text
    from dlfusion.runtime.doctor import examine
    from dlfusion.targets.cpu.isa import ISAS

    machine, tools = host(), examine()
    problems = [tools.problem] if tools.problem else []
    if not set(machine.isas) & set(ISAS):
        problems.append(f"this CPU has none of the supported instruction sets: {', '.join(ISAS)}")
    caches = {"L1": machine.l1_bytes, "L2": machine.l2_bytes, "L3": machine.l3_bytes}
    peer = _peer_version()
    if as_json:
        print_json(
            {
                "processor": machine.name,
                "cores": machine.cores,
                "instruction_sets": list(machine.isas),
                "cache_bytes": caches,
                "compiler": list(tools.compiler_command),
                "compiler_version": tools.compiler_version,
                "build_cache": str(tools.cache_folder),
                "build_cache_bytes": tools.cache_bytes,
                "onnxruntime": peer,
                "problems": problems,
            }
        )
    else:
        rows = (
            ("processor", machine.name),
            ("cores", str(machine.cores)),
            ("instruction sets", ", ".join(machine.isas) or "none that is supported"),
            *((f"{name} cache", "unknown" if size is None else bytes_text(size)) for name, size in caches.items()),
            ("compiler", " ".join(tools.compiler_command) or "none"),
            ("compiler version", tools.compiler_version or "none"),
            ("build cache", f"{tools.cache_folder} ({bytes_text(tools.cache_bytes)})"),
            ("ONNX Runtime", peer or "not installed: pip install 'dlfusion[bench]' to check and compare with it"),
        )
        columns = (Column("what", number=False), Column("found", number=False))
        notes = tuple(f"Problem: {problem}" for problem in problems) or ("Everything that compiling needs is there.",)
        output().print(terminal(Table("This machine", columns, rows, notes)))
    if problems:
        raise typer.Exit(EXIT_PROBLEM)


def _peer_version() -> str | None:
    from dlfusion.bench.engines import onnx_runtime

    try:
        return onnx_runtime.OnnxRuntime.version()
    except InputError:
        return None
