"""No plan changes the numbers, shown on whole models at full size: `python -m benchmarks.verify [MODEL...]`.

Every model of the zoo and every model of the `onnx` package's light set is compiled under the strategies `baseline`,
`layer-cores`, `fuse-all`, `dlfusion` and random legal plans, with 1, 2 and 4 cores. Outputs are compared with ONNX
Runtime's. Models that take any size are checked twice, with one input of the published size, and with three of a size
that nothing divides. So is the light set: as it is, with the outputs stored beside it, and with random weights. ONNX
files of your own are named by their paths. The exit status is 1 if any output differs by more than 1e-4 of its scale
or a model is refused.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx import ModelProto

from dlfusion import driver, zoo
from dlfusion.bench.engines import onnx_runtime
from dlfusion.cli.options import parse_shapes
from dlfusion.errors import DlfusionError
from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.check import Verdict, compare
from dlfusion.targets.cpu.measuring import CpuTarget
from dlfusion.zoo import light

LIGHT_PREFIX = "light_"
STRATEGIES = ("baseline", "layer-cores", "fuse-all", "dlfusion")
CORES = (1, 2, 4)

_ODD_IMAGES = {"batch": 3, "size": 221, "width": 199}
ODD: Mapping[str, Mapping[str, int]] = {
    **dict.fromkeys(("unet", *(name for name in zoo.ALL_NAMES if name not in zoo.NAMES)), _ODD_IMAGES),
    "m5": {"batch": 3, "size": 22111},
    "wav2vec": {"batch": 3, "size": 16001},
}
"""Options of the models that are also checked with three inputs of a size that nothing divides."""


def model_names() -> tuple[str, ...]:
    """The zoo's models, then the light set's."""
    return (*zoo.ALL_NAMES, *(LIGHT_PREFIX + name for name in light.NAMES))


@dataclass(frozen=True)
class Case:
    """A model with inputs and the outputs that they must give."""

    title: str
    network: Network
    inputs: tuple[Array, ...]
    expected: tuple[Array, ...]


@dataclass(frozen=True)
class Result:
    """How far the outputs under one plan are from the expected ones, and how long planning and compiling took."""

    strategy: str
    cores: str
    verdict: Verdict
    compile_seconds: float


@dataclass(frozen=True)
class Chosen:
    """What every model is compiled under; `shapes` fix open dimensions of inputs of the user's own files."""

    strategies: Sequence[str] = STRATEGIES
    cores: Sequence[int] = CORES
    random_plans: int = 4
    shapes: Mapping[str, Sequence[int]] | None = None


def cases(name: str, chosen: Chosen, folder: Path) -> Iterator[Case]:
    """What to check of a model; the files of models that are built here are written to `folder`."""
    if name in zoo.ALL_NAMES:
        yield _built_here(name, zoo.build(name), folder)
        if name in ODD:
            yield _built_here(name, zoo.build(name, **ODD[name]), folder)
        return
    if name not in model_names():
        yield _against_onnx_runtime(Path(name).stem, Path(name), chosen.shapes)
        return
    light_name = name.removeprefix(LIGHT_PREFIX)
    yield Case(
        f"{name}, stored",
        driver.import_model(light.path(light_name)),
        (light.stored_input(light_name),),
        (light.stored_output(light_name),),
    )
    yield _built_here(f"{name}, random", light.randomized(light_name), folder)


def _built_here(title: str, model: ModelProto, folder: Path) -> Case:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    case = _against_onnx_runtime(title, path)
    path.unlink()
    return case


def _against_onnx_runtime(title: str, path: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> Case:
    network = driver.import_model(path, shapes=shapes)
    inputs = driver.random_inputs(network)
    return Case(title, network, inputs, onnx_runtime.outputs(path, network.graph.inputs, inputs))


def verify(case: Case, chosen: Chosen) -> Iterator[Result]:
    """The result of each strategy on each number of cores, then of random plans."""
    for strategy in chosen.strategies:
        for cores in chosen.cores:
            start = time.perf_counter()
            yield _result(case, strategic_plan(case.network, strategy, cores), str(cores), start)
    for seed in range(chosen.random_plans):
        start = time.perf_counter()
        yield _result(case, random_plan(case.network, seed), "any", start)


def _result(case: Case, plan: Plan, cores: str, start: float) -> Result:
    with driver.compile(case.network, plan=plan) as compiled:
        seconds = time.perf_counter() - start
        verdict = compare(compiled.outputs(*case.inputs), case.expected)
    return Result(plan.strategy, cores, verdict, seconds)


def strategic_plan(network: Network, strategy: str, cores: int) -> Plan:
    """What a strategy plans for a machine like this one with that many cores: more threads than cores run too."""
    target = CpuTarget()
    task = driver.problem(network, target)
    machine = replace(target.machine, cores=cores)
    return driver.choose(replace(task, machine=machine, core_counts=machine.core_counts), target, strategy)


def random_plan(network: Network, seed: int, core_counts: Sequence[int] = CORES) -> Plan:
    """Any cuts, core counts of these, steps and partitions that legality allows."""
    chance = random.Random(seed)
    blocks: list[Block] = []
    first = 0
    while first < len(network.layers):
        last = first
        while chance.random() < 0.8 and not problems(network, Block(first, last + 1, 1)):
            last += 1
        step = chance.choice((1, 2, 3, 5, 8, 1 << 20))
        wanted = [Block(first, last, cores, way, step) for way in Partition for cores in core_counts]
        blocks.append(chance.choice([block for block in wanted if not problems(network, block)]))
        first = last + 1
    return Plan(network.graph.digest, "any machine", f"random {seed}", tuple(blocks))


def line(case: Case, result: Result) -> str:
    """A row of the table."""
    shape = " x ".join(str(size) for size in case.network.graph.inputs[0].array_shape)
    mark = "" if result.verdict.passed else "  WRONG"
    return (
        f"{case.title:28} {shape:20} {result.strategy:12} {result.cores:>5} "
        f"{result.verdict.relative:9.1e} {result.compile_seconds:8.1f} s{mark}"
    )


def verify_model(name: str, chosen: Chosen, folder: Path) -> bool:
    """Print a line for each plan of a model, or why it is refused; True if all is well."""
    passed = True
    try:
        for case in cases(name, chosen, folder):
            for result in verify(case, chosen):
                passed = passed and result.verdict.passed
                print(line(case, result), flush=True)
    except DlfusionError as error:
        print(f"{name} is refused: {error}", flush=True)
        return False
    return passed


def main() -> None:
    """Check the models one after another and print a line for each plan."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=__doc__)
    names = f"some of {', '.join(model_names())}, or ONNX files (default: all of these)"
    parser.add_argument("models", nargs="*", metavar="MODEL", help=names)
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="separated by commas (default: %(default)s)")
    parser.add_argument("--cores", default=",".join(map(str, CORES)), help="core counts (default: %(default)s)")
    parser.add_argument("--random-plans", type=int, default=4, metavar="N", help="random plans per model (default: 4)")
    parser.add_argument("--shape", action="append", metavar="NAME=SIZES", help="whole shape of an input of ONNX files")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in model_names() and not Path(name).is_file()]
    if unknown:
        parser.error(f"neither models nor files: {', '.join(unknown)}")
    try:
        cores = tuple(int(count) for count in arguments.cores.split(","))
        shapes = parse_shapes(arguments.shape)
    except (ValueError, DlfusionError) as error:
        parser.error(str(error))
    chosen = Chosen(arguments.strategies.split(","), cores, arguments.random_plans, shapes)
    print(f"{'model':28} {'input':20} {'strategy':12} {'cores':>5} {'error':>9} {'compile':>10}", flush=True)
    with tempfile.TemporaryDirectory(prefix="dlfusion-verify-") as folder:
        models = arguments.models or model_names()
        failed = [name for name in models if not verify_model(name, chosen, Path(folder))]
    print(f"{len(failed)} models are refused or wrong: {', '.join(failed)}" if failed else "all within 1e-4")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
