"""How long `dlfusion compile` takes: `python -m benchmarks.compile_time`, or with names of models of the zoo.

The command runs as a process of its own with `--no-check`, everything from its start to its end counted. Each round
begins with an empty cache of compiled objects (`cold`) and compiles a twin of the model, which has another name and
other weights. The model itself then finds the kernels compiled, but nothing that is its own (`kernels`). When a stage
begins is told by the lines that the command prints; the last one, build, lasts until the process has ended.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from dlfusion import zoo
from dlfusion.cli.console import guarded, output
from dlfusion.report.table import Column, Table, terminal

STAGES = ("start", "import", "plan", "generate", "build")
CACHES = ("cold", "kernels")


@guarded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compile_time",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", default=["resnet50"], help="names (default: resnet50)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each model is compiled (default: 5)")
    arguments = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    for model in arguments.models:
        rounds = measured(model, arguments.rounds)
        for cache, stages in zip(CACHES, zip(*rounds, strict=True), strict=True):
            totals = [sum(seconds) for seconds in stages]
            medians = (statistics.median(times) for times in zip(*stages, strict=True))
            shown = (min(totals), statistics.median(totals), *medians)
            rows.append((model, cache, *(f"{value:.2f}" for value in shown)))
    texts, times = ("model", "cache"), ("minimum s", "median s", *(f"{stage} s" for stage in STAGES))
    columns = (*(Column(name, number=False) for name in texts), *(Column(name) for name in times))
    title = f"`dlfusion compile --no-check`, {arguments.rounds} rounds; stages are medians"
    output().print(terminal(Table(title, columns, tuple(rows), ())))


def measured(model: str, rounds: int) -> list[tuple[tuple[float, ...], ...]]:
    """For each round and each of `CACHES` the seconds of each stage."""
    with tempfile.TemporaryDirectory(prefix="dlfusion-compile-time-") as scratch:
        files = []
        for seed, name in enumerate(("twin", model)):
            proto = zoo.build(model, seed=seed)
            proto.graph.name = name
            files.append(Path(scratch) / f"{name}.onnx")
            files[-1].write_bytes(proto.SerializeToString())
        taken = []
        for number in range(rounds):
            folder = Path(scratch) / str(number)
            taken.append(tuple(stage_seconds(file, folder) for file in files))
        return taken


def stage_seconds(file: Path, folder: Path) -> tuple[float, ...]:
    """Seconds of each stage of one compile; the cache is in `folder` too.

    Raises:
        CalledProcessError: the command fails; what it printed is shown.
    """
    command = (sys.executable, "-m", "dlfusion.cli", "compile", str(file), "--no-check")
    environment = {**os.environ, "DLFUSION_CACHE_DIR": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
    begun = [time.perf_counter()]
    with subprocess.Popen(
        (*command, "-o", str(folder / file.stem)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.strip().removesuffix(" ...") in STAGES:
                begun.append(time.perf_counter())
    begun.append(time.perf_counter())
    if process.returncode != 0:
        sys.stderr.writelines(lines)
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return tuple(end - start for start, end in pairwise(begun))


if __name__ == "__main__":
    main()
