"""How close every layer comes to the machine's limits: `python -m benchmarks.performance [MODEL...]`.

Writes a page with a roofline for each model into `docs/performance/`, and all numbers into
`benchmarks/results/performance/`. Run it on a quiet machine; a model takes one to two minutes.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlfusion import zoo
from dlfusion.bench.layers import Options, measure_layers
from dlfusion.cli.console import guarded, output, progress
from dlfusion.cli.files import write_text
from dlfusion.machine.host import usable_cores
from dlfusion.report.layer_pages import index_text, write_page
from dlfusion.report.layer_tables import gains_table
from dlfusion.report.plots import require_matplotlib
from dlfusion.report.table import terminal

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "performance"
RESULTS = ROOT / "benchmarks" / "results" / "performance"


@guarded
def main() -> None:
    """Measure the models and write their pages, and the page that lists all that were ever measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.performance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(zoo.NAMES)} (default: all)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of runs for each program (default: 5)")
    parser.add_argument("--pages", type=Path, default=PAGES, metavar="DIR", help="where pages go")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where numbers go")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(zoo.NAMES)
    if unknown:
        parser.error(f"unknown models {sorted(unknown)}; there are {', '.join(zoo.NAMES)}")
    require_matplotlib()
    write_pages(arguments.models or zoo.NAMES, arguments.seconds, arguments.pages, arguments.results)


def write_pages(names: Sequence[str], seconds: float, pages: Path, results: Path) -> None:
    """Measure the models one after another; a model's files are written as soon as they are there."""
    pages.mkdir(parents=True, exist_ok=True)
    results.mkdir(parents=True, exist_ok=True)
    chosen = Options(cores=tuple(sorted({1, usable_cores()})), seconds=seconds)
    with tempfile.TemporaryDirectory(prefix="dlfusion-performance-") as scratch:
        for name in names:
            model = Path(scratch) / f"{name}.onnx"
            model.write_bytes(zoo.build(name).SerializeToString())
            with progress() as advance:
                report = measure_layers(model, chosen, progress=advance)
            model.unlink()
            write_page(report, pages, write_text)
            write_text(results / f"{name}.json", json.dumps(report.document()) + "\n")
            output().print(terminal(gains_table(report)))
    known = [results / f"{name}.json" for name in zoo.NAMES]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in known if path.is_file()]
    write_text(pages / "README.md", index_text(documents))


if __name__ == "__main__":
    main()
