"""No plan changes the numbers, shown on whole models at full size: `python -m benchmarks.verify [MODEL...]`.

Every model of the zoo and every model of the `onnx` package's light set is compiled under the strategies `baseline`,
`layer-cores`, `fuse-all`, `dlfusion` and random legal plans, with 1, 2 and 4 cores. Outputs are compared with ONNX
Runtime's. Models that take any size are checked twice, with one input of the published size, and with three of a size
that nothing divides. So is the light set: as it is, with the outputs stored beside it, and with random weights. The
exit status is 1 if any output differs by more than 1e-4 of its scale.
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


def cases(name: str, folder: Path) -> Iterator[Case]:
    """What to check of a model; the files of models that are built here are written to `folder`."""
    if name in zoo.ALL_NAMES:
        yield _against_onnx_runtime(name, zoo.build(name), folder)
        if name in ODD:
            yield _against_onnx_runtime(name, zoo.build(name, **ODD[name]), folder)
        return
    light_name = name.removeprefix(LIGHT_PREFIX)
    yield Case(
        f"{name}, stored",
        driver.import_model(light.path(light_name)),
        (light.stored_input(light_name),),
        (light.stored_output(light_name),),
    )
    yield _against_onnx_runtime(f"{name}, random", light.randomized(light_name), folder)


def _against_onnx_runtime(title: str, model: ModelProto, folder: Path) -> Case:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    network = driver.import_model(path)
    inputs = driver.random_inputs(network)
    expected = onnx_runtime.outputs(path, network.graph.inputs, inputs)
    path.unlink()
    return Case(title, network, inputs, expected)


def verify(case: Case, random_plans: int) -> Iterator[Result]:
    """The result of each strategy on each number of cores, then of random plans."""
    for strategy in STRATEGIES:
        for cores in CORES:
            start = time.perf_counter()
            yield _result(case, strategic_plan(case.network, strategy, cores), str(cores), start)
    for seed in range(random_plans):
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


def main() -> None:
    """Check the models one after another and print a line for each plan."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(model_names())} (default: all)")
    parser.add_argument("--random-plans", type=int, default=4, metavar="N", help="random plans per model (default: 4)")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(model_names())
    if unknown:
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")
    print(f"{'model':28} {'input':20} {'strategy':12} {'cores':>5} {'error':>9} {'compile':>10}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="dlfusion-verify-") as folder:
        for name in arguments.models or model_names():
            for case in cases(name, Path(folder)):
                for result in verify(case, arguments.random_plans):
                    failed += not result.verdict.passed
                    print(line(case, result), flush=True)
    print(f"{failed} of them are wrong: more than 1e-4 of the output's scale" if failed else "all within 1e-4")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
