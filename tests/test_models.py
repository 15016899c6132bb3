"""No plan changes the numbers of whole models: the zoo where it has a reduced size, and the light set at full size.

`python -m benchmarks.verify` does the same with all of them at full size, with more plans; it takes minutes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import onnx
import pytest
from onnx import ModelProto

from benchmarks.verify import random_plan
from dlfusion import driver, zoo
from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Plan
from dlfusion.runtime.check import compare
from dlfusion.zoo import light
from tests.support.onnx_models import run_onnx_runtime

REDUCED: dict[str, dict[str, Any]] = {
    "alexnet": {"size": 97, "width_factor": 0.25},
    "vgg19": {"size": 65, "width_factor": 0.125},
    "resnet18": {"size": 97, "width_factor": 0.25},
    "resnet50": {"size": 97, "width_factor": 0.25},
    "mobilenetv2": {"size": 97, "width_factor": 0.5},
    "fsrcnn": {"size": 97, "width": 65},
    "espcn": {"size": 97, "width": 65},
    "dncnn": {"size": 97, "width": 65, "width_factor": 0.25, "hidden": 2},
    "unet": {"size": 48, "width": 80, "width_factor": 0.125},
}

HUGE = ("bvlc_alexnet", "vgg19", "zfnet512")
"""Every plan writes their hundreds of megabytes of weights to disk, so they are run under two plans only."""

RANDOMIZED = ("densenet121", "inception_v1", "shufflenet")
"""Run with random weights under all plans: the shipped ones are all alike, so a channel out of place hardly shows."""

OPSETS = (7, 9, 13, 17, 21)

STRATEGIES = ("baseline", "fuse-all", "fixed-block")
CORES = (1, 2)


def plans(network: Network, random_plans: int) -> Iterator[Plan]:
    """The plans of all these strategies on each number of cores, then random ones."""
    for cores in CORES:
        for strategy in STRATEGIES:
            plan = driver.plan(network, strategy=strategy, cores=cores)
            yield replace(plan, strategy=f"{strategy}, {cores} cores")
    for seed in range(random_plans):
        yield random_plan(network, seed, CORES)


def check(network: Network, chosen: Sequence[Plan], inputs: Sequence[Array], expected: Sequence[Array]) -> None:
    """Compiles and runs each plan."""
    for plan in chosen:
        with driver.compile(network, plan=plan) as compiled:
            verdict = compare(compiled.outputs(*inputs), expected)
        assert verdict.passed, f"{plan.strategy}: {verdict}\n{plan.to_json()}"


def check_with_onnx_runtime(model: ModelProto, *, random_plans: int = 2) -> None:
    """Compiles and runs the model under three strategies with 1 and 2 cores, and under random plans."""
    network = driver.import_model(model)
    inputs = driver.random_inputs(network)
    expected = run_onnx_runtime(model, network.graph, inputs)
    check(network, tuple(plans(network, random_plans)), inputs, expected)


@pytest.mark.parametrize("name", REDUCED)
def test_zoo(name: str) -> None:
    check_with_onnx_runtime(zoo.build(name, **REDUCED[name]))


@pytest.mark.parametrize("name", ["resnet18", "unet"])
def test_batch_of_three(name: str) -> None:
    check_with_onnx_runtime(zoo.build(name, **REDUCED[name], batch=3))


@pytest.mark.slow
@pytest.mark.parametrize("name", light.NAMES)
def test_light_model(name: str) -> None:
    network = driver.import_model(light.path(name))
    chosen = tuple(plans(network, random_plans=2))
    if name in HUGE or name in RANDOMIZED:
        chosen = (chosen[1], chosen[-1])  # fuse-all on 1 core, and a random plan
    check(network, chosen, [light.stored_input(name)], [light.stored_output(name)])


@pytest.mark.slow
@pytest.mark.parametrize("name", RANDOMIZED)
def test_light_model_with_random_weights(name: str) -> None:
    check_with_onnx_runtime(light.randomized(name))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", ["resnet18", "fsrcnn"])
def test_opset(name: str, opset: int) -> None:
    model = at_opset(zoo.build(name, **REDUCED[name]), opset)
    network = driver.import_model(model)
    inputs = driver.random_inputs(network)
    expected = run_onnx_runtime(model, network.graph, inputs)
    check(network, [driver.plan(network, "cpu", "fuse-all", cores=2)], inputs, expected)


def at_opset(model: ModelProto, opset: int) -> ModelProto:
    """The model at another opset; onnx's own converter does not go back past opset 14.

    Of the forms that these models use, only MaxPool's `ceil_mode` (opset 10) is not the same in opset 7 to 21.
    """
    for node in model.graph.node:
        for attribute in [attribute for attribute in node.attribute if attribute.name == "ceil_mode" and opset < 10]:
            node.attribute.remove(attribute)
    model.opset_import[0].version = opset
    onnx.checker.check_model(model)
    return model
