"""Models and random graphs under many plans: built with the stand-in, run, and compared with the reference."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from dlfusion import driver, zoo
from dlfusion.bench.engines import onnx_runtime
from dlfusion.errors import UnsupportedError
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.legality import machine_limits, problems
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.check import compare
from dlfusion.runtime.reference import evaluate
from dlfusion.targets import find_target
from dlfusion.targets.mlu100.target import check, generate
from dlfusion.zoo import light
from tests.support.random_graphs import graphs, random_inputs
from tests.targets.mlu100.projects import each_alone, outputs_of

TOLERANCE = 5e-3
"""Of a whole network's result, as a share of its scale: every tensor between its operators is rounded to fp16."""

LIMITS = machine_limits(find_target("mlu100").machine)

SETTINGS = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def random_plan(network: Network, seed: int) -> Plan:
    """Cuts and core counts drawn from what is legal on the machine."""
    generator = np.random.default_rng(seed)
    counts = LIMITS.core_counts or ()
    blocks: list[Block] = []
    first = 0
    while first < len(network.layers):
        last = first
        while not problems(network, Block(first, last + 1, 1), LIMITS) and generator.random() < 0.8:
            last += 1
        legal = [count for count in counts if not problems(network, Block(first, last, count), LIMITS)]
        blocks.append(Block(first, last, int(generator.choice(legal))))
        first = last + 1
    return Plan(network.graph.digest, "any machine", "random", tuple(blocks))


def require_reference(network: Network, plan: Plan, inputs: tuple[Array, ...], expected: tuple[Array, ...]) -> None:
    """The plan's program computes the expected outputs."""
    with tempfile.TemporaryDirectory() as folder:
        results = outputs_of(network, generate(network, plan), inputs, Path(folder))
    verdict = compare(results, expected, TOLERANCE)
    assert verdict.passed, verdict


@pytest.mark.slow
@given(data=st.data())
@SETTINGS
def test_any_legal_plan_gives_the_reference_result(data: st.DataObject) -> None:
    graph = data.draw(graphs(max_nodes=6, common=True))
    network = describe(graph)
    try:
        check(network)
    except UnsupportedError:
        assume(False)
    inputs = random_inputs(graph, seed=data.draw(st.integers(0, 99)))
    expected = evaluate(graph, inputs)
    assume(all(np.abs(array).max() > 0.01 for array in expected))
    require_reference(network, random_plan(network, data.draw(st.integers(0, 99))), inputs, expected)


PAPER_MODELS = {
    "alexnet": {"size": 64, "width_factor": 0.25},
    "vgg19": {"size": 32, "width_factor": 0.25},
    "resnet18": {"size": 64, "width_factor": 0.25},
    "resnet50": {"size": 64, "width_factor": 0.125},
    "mobilenetv2": {"size": 64, "width_factor": 0.5},
}
"""The five models of the paper, in sizes whose arithmetic takes the stand-in a second at most."""


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER_MODELS)
def test_paper_models_run_under_every_sort_of_plan(name: str) -> None:
    network = driver.import_model(zoo.build(name, **PAPER_MODELS[name]))  # type: ignore[arg-type]
    inputs = driver.random_inputs(network)
    expected = evaluate(network.graph, inputs)
    for strategy in ("baseline", "fuse-all", "dlfusion"):
        require_reference(network, driver.plan(network, "mlu100", strategy), inputs, expected)
    require_reference(network, random_plan(network, 5), inputs, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "espcn"])
def test_other_models_of_the_zoo_run(name: str) -> None:
    network = driver.import_model(zoo.build(name, size=32, width=48, width_factor=0.25))
    inputs = driver.random_inputs(network)
    require_reference(network, random_plan(network, 1), inputs, evaluate(network.graph, inputs))


@pytest.mark.parametrize("name", light.NAMES)
def test_light_models_generate(name: str) -> None:
    network = driver.import_model(light.path(name))
    text = generate(network, each_alone(network, 4)).texts["model.cpp"]
    assert text.count("program.add<LayerBlock>") == len(network.layers)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet", "inception_v2", "densenet121", "shufflenet"])
def test_light_models_give_what_onnx_runtime_gives(name: str, tmp_path: Path) -> None:
    model = light.randomized(name)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    network = driver.import_model(path)
    inputs = driver.random_inputs(network)
    expected = tuple(onnx_runtime.outputs(path, network.graph.inputs, inputs))
    require_reference(network, driver.plan(network, "mlu100", "dlfusion"), inputs, expected)
