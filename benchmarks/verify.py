"""No plan changes the numbers, shown on whole models at full size: `python -m benchmarks.verify [MODEL...]`.

Every model of the zoo and every model of the `onnx` package's light set is compiled under the strategies `baseline`,
`fuse-all`, `fixed-block` and random legal plans, each with 1 and 2 cores. Outputs are compared with ONNX Runtime's. The
light set is checked twice: as it is, with the outputs stored beside it, and with random weights. The exit status is 1
if any output differs by more than 1e-4 of its scale.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
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
from dlfusion.zoo import light

LIGHT_PREFIX = "light_"
STRATEGIES = ("baseline", "fuse-all", "fixed-block")
CORES = (1, 2)


def model_names() -> tuple[str, ...]:
    """The zoo's models, then the light set's."""
    return (*zoo.NAMES, *(LIGHT_PREFIX + name for name in light.NAMES))


@dataclass(frozen=True)
class Case:
    """A model with inputs and the outputs that they must give."""

    title: str
    network: Network
    inputs: tuple[Array, ...]
    expected: tuple[Array, ...]


def cases(name: str, folder: Path) -> Iterator[Case]:
    """What to check of a model; the files of models that are built here are written to `folder`."""
    if name in zoo.NAMES:
        yield _against_onnx_runtime(name, zoo.build(name), folder)
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


def verify(
    network: Network, inputs: Sequence[Array], expected: Sequence[Array], random_plans: int
) -> Iterator[tuple[str, Verdict]]:
    """Each plan's description and how far its outputs are from the expected ones."""
    for plan in plans(network, random_plans):
        with driver.compile(network, plan=plan) as compiled:
            yield plan.strategy, compare(compiled.outputs(*inputs), expected)


def plans(network: Network, random_plans: int) -> Iterator[Plan]:
    """The plans of all strategies on each number of cores, then random ones."""
    for cores in CORES:
        for strategy in STRATEGIES:
            plan = driver.plan(network, strategy=strategy, cores=cores)
            yield replace(plan, strategy=f"{strategy}, {cores} cores")
    for seed in range(random_plans):
        yield random_plan(network, seed)


def random_plan(network: Network, seed: int) -> Plan:
    """Any cuts, 1 or 2 cores, steps and partitions that legality allows."""
    chance = random.Random(seed)
    blocks: list[Block] = []
    first = 0
    while first < len(network.layers):
        last = first
        while chance.random() < 0.8 and not problems(network, Block(first, last + 1, 1)):
            last += 1
        step = chance.choice((1, 2, 3, 5, 8, 1 << 20))
        wanted = [Block(first, last, cores, way, step) for way in Partition for cores in CORES]
        blocks.append(chance.choice([block for block in wanted if not problems(network, block)]))
        first = last + 1
    return Plan(network.graph.digest, "any machine", f"random {seed}", tuple(blocks))


def main() -> None:
    """Check the models one after another and print a line for each plan that is furthest off."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(model_names())} (default: all)")
    parser.add_argument("--random-plans", type=int, default=4, metavar="N", help="random plans per model (default: 4)")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(model_names())
    if unknown:
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="dlfusion-verify-") as folder:
        for name in arguments.models or model_names():
            for case in cases(name, Path(folder)):
                results = list(verify(case.network, case.inputs, case.expected, arguments.random_plans))
                worst, verdict = max(results, key=lambda result: result[1].relative)
                failed = failed or not verdict.passed
                print(f"{case.title:28} {len(results)} plans, worst ({worst}): {verdict}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
