"""`make bench`: the README's table, measured anew, with every sample in `benchmarks/results/`.

`python -m benchmarks.table resnet50 fsrcnn` measures only these models and leaves README.md as it is.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dlfusion import zoo
from dlfusion.bench.compare import Options, compare
from dlfusion.cli.console import guarded, output, progress
from dlfusion.machine.host import usable_cores
from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.record import Record
from dlfusion.report.table import markdown, terminal

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->"
STRATEGIES = ("dlfusion",)
"""The default: what users get. `dlfusion compare` and `reproduce` hold strategies against each other."""
MODELS = ("alexnet", "vgg19", "resnet18", "resnet50", "mobilenetv2", "fsrcnn", "espcn", "unet")


@guarded
def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument(
        "models", nargs="*", help=f"some of {', '.join(MODELS)} (default: all, and README.md is updated)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of runs for each engine (default: 2)")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"unknown models {sorted(unknown)}; there are {', '.join(MODELS)}")
    record = measure(arguments.models or MODELS, arguments.seconds)
    output().print(terminal(best_table(record)))
    if not arguments.models:
        write_table(README, markdown(best_table(record)))


def measure(names: Sequence[str], seconds: float) -> Record:
    """Build and compare the models one after another; writes each model's samples as soon as they are there."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    chosen = Options(STRATEGIES, cores=tuple(range(1, usable_cores() + 1)), seconds=seconds)
    records = []
    with progress() as advance, tempfile.TemporaryDirectory(prefix="dlfusion-table-") as scratch:
        for name in names:
            model = Path(scratch) / f"{name}.onnx"
            model.write_bytes(zoo.build(name).SerializeToString())
            record = compare([model], chosen, advance)
            model.unlink()
            (RESULTS / f"{name}.json").write_text(json.dumps(record.document()) + "\n", encoding="utf-8")
            (RESULTS / f"{name}.md").write_text(markdown(engine_table(record)), encoding="utf-8")
            records.append(record)
    return replace(records[0], comparisons=tuple(entry for record in records for entry in record.comparisons))


def write_table(file: Path, table: str) -> None:
    """Put the table between the two marks of a Markdown file.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} does not hold the marks {BEGIN!r} and {END!r}")
    file.write_text(before + begin + table + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
