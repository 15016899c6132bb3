"""`make bench`: all models beside all other engines, measured anew, with every sample in `benchmarks/results/`.

`python -m benchmarks.table resnet50 fsrcnn` measures only these models and leaves README.md and docs/ as they are. So
do other settings (`--peers`, `--seconds`, `--precision`, `--isa`) and a machine that lacks one of the peers; results in
another precision or with other instructions go to a folder of their own. Plans are made with the profile that ships. A
run that is interrupted goes on where it was when it is started again with the same settings, code and engines.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dlfusion import zoo
from dlfusion.bench.compare import Options, compare
from dlfusion.bench.engines import PEERS, installed_peers, parse_peers
from dlfusion.cli.console import guarded, messages, output, progress
from dlfusion.cli.files import write_text
from dlfusion.cost.profile import shipped_profiles
from dlfusion.machine.host import host, usable_cores
from dlfusion.report.comparison_figures import draw_comparison
from dlfusion.report.comparison_pages import STEM, write_comparison
from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.plots import require_matplotlib
from dlfusion.report.record import Record
from dlfusion.report.table import markdown, terminal
from dlfusion.targets.cpu.precision import Precision

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
UNFINISHED = ROOT / "build" / "bench"
README = ROOT / "README.md"
PICTURES = ROOT / "docs"
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->"
STRATEGIES = ("dlfusion",)
"""The default: what users get. `dlfusion compare` and `reproduce` hold strategies against each other."""
MODELS = zoo.NAMES


@dataclass(frozen=True)
class Settings:
    """What is measured: the models, how, and the folder of the results."""

    names: tuple[str, ...]
    options: Options
    results: Path = RESULTS
    unfinished: Path = UNFINISHED

    @property
    def is_default(self) -> bool:
        """True if README.md and docs/ show these results: all models and peers, and no other setting changed."""
        return self.names == MODELS and self.options == default_options()

    def digest(self) -> str:
        """Tells runs apart whose results must not be mixed: other settings, engines, machine or code."""
        options = replace(self.options, profile=None)
        state = hashlib.sha256(f"{host().fingerprint} {self.names} {options}".encode())
        state.update(b"" if self.options.profile is None else self.options.profile.read_bytes())
        state.update(str([(peer.name, peer.version()) for peer in self.options.adapters]).encode())
        for file in sorted((ROOT / "src").rglob("*")):
            if file.suffix in (".py", ".hpp", ".cpp", ".h", ".json"):
                state.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
        return state.hexdigest()[:16]


def default_options() -> Options:
    """What `make bench` measures with: every peer, all core counts, and the profile that ships."""
    cores = tuple(range(1, usable_cores() + 1))
    return Options(STRATEGIES, cores, peers=PEERS, profile=shipped_profiles()["cpu"])


@guarded
def main() -> None:
    """Measure, print, and write the results."""
    settings = read_arguments()
    require_matplotlib()
    peers = ", ".join(peer.title for peer in settings.options.adapters)
    messages().print(f"engines besides DLFusion: {peers}", markup=False)
    record = measure(settings)
    output().print(terminal(best_table(record)))
    write_results(record, settings)


def read_arguments(arguments: Sequence[str] | None = None) -> Settings:
    """The settings that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(MODELS)} (default: all)")
    default = default_options()
    parser.add_argument(
        "--seconds", type=float, default=default.seconds, help="seconds of runs for each engine (default: %(default)g)"
    )
    parser.add_argument("--peers", metavar="NAME,NAME,...", help="engines to compare with (default: all installed)")
    parser.add_argument("--precision", choices=tuple(Precision), default=Precision.FP32)
    parser.add_argument("--isa", choices=("avx512", "avx2"), help="keep all engines to this instruction set")
    given = parser.parse_args(arguments)
    unknown = set(given.models) - set(MODELS)
    if unknown:
        parser.error(f"unknown models {sorted(unknown)}; there are {', '.join(MODELS)}")
    options = replace(
        default,
        seconds=given.seconds,
        peers=installed_peers() if given.peers is None else parse_peers(given.peers),
        precision=Precision(given.precision),
        isa=given.isa,
    )
    parts = [part for part in (given.precision if given.precision != Precision.FP32 else None, given.isa) if part]
    results = RESULTS / "-".join(parts) if parts else RESULTS
    return Settings(tuple(dict.fromkeys(given.models)) or MODELS, options, results)


def measure(settings: Settings) -> Record:
    """Build and compare the models one after another; those that an interrupted run has finished are not repeated."""
    kept = settings.unfinished / settings.digest()
    kept.mkdir(parents=True, exist_ok=True)
    records = []
    with progress() as advance, tempfile.TemporaryDirectory(prefix="dlfusion-table-") as scratch:
        for name in settings.names:
            file = kept / f"{name}.json"
            if file.is_file():
                messages().print(f"{name}: measured before the interruption", markup=False)
                records.append(Record.of(json.loads(file.read_text(encoding="utf-8"))))
                continue
            model = Path(scratch) / f"{name}.onnx"
            model.write_bytes(zoo.build(name).SerializeToString())
            records.append(compare([model], settings.options, advance))
            model.unlink()
            write_text(file, json.dumps(records[-1].document()) + "\n")
    return replace(records[0], comparisons=tuple(entry for record in records for entry in record.comparisons))


def write_results(record: Record, settings: Settings) -> None:
    """Write a file of samples and a table for each model, the table and picture of all, and what shows them."""
    settings.results.mkdir(parents=True, exist_ok=True)
    for name in settings.names:
        own = replace(record, comparisons=tuple(entry for entry in record.comparisons if entry.model == name))
        write_text(settings.results / f"{name}.json", json.dumps(own.document()) + "\n")
        write_text(settings.results / f"{name}.md", markdown(engine_table(own)))
    if settings.is_default:
        draw_comparison(record, PICTURES, STEM)
        picture = f"![How fast each engine runs each model]({(PICTURES / STEM).relative_to(ROOT)}.svg)\n\n"
        write_between_marks(README, picture + markdown(best_table(record)))
    elif settings.names == MODELS:
        write_comparison(record, settings.results, write_text)
    shutil.rmtree(settings.unfinished / settings.digest())


def write_between_marks(file: Path, text: str) -> None:
    """Put the text between the two marks of a Markdown file.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} does not hold the marks {BEGIN!r} and {END!r}")
    write_text(file, before + begin + text + end + after)


if __name__ == "__main__":
    main()
