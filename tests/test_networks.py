"""Networks as they are used, in their full depth but slim and on small maps, under plans of all kinds.

`python -m benchmarks.verify` does the same at full size, with more plans; it takes most of an hour.
"""

from collections.abc import Iterable

import pytest
from onnx import ModelProto

from benchmarks.verify import CORES, random_plan, strategic_plan
from dlfusion import driver, zoo
from dlfusion.layers.layer import Network
from dlfusion.ops.mul import Mul
from dlfusion.plans.plan import Plan
from dlfusion.runtime.check import compare
from tests.support.onnx_models import run_onnx_runtime
from tests.support.slim_networks import SLIM


def assert_plans_keep_the_numbers(proto: ModelProto, network: Network, plans: Iterable[Plan]) -> None:
    """Compiles and runs the plans beside ONNX Runtime."""
    inputs = driver.random_inputs(network)
    expected = run_onnx_runtime(proto, network.graph, inputs)
    for plan in plans:
        with driver.compile(network, plan=plan) as compiled:
            verdict = compare(compiled.outputs(*inputs), expected)
        assert verdict.passed, f"{plan.strategy}: {verdict}\n{plan.to_json()}"


@pytest.mark.parametrize("name", SLIM)
def test_slim_network(name: str) -> None:
    """Layers alone, blocks as long as possible, the default and a random plan, on other cores from model to model."""
    proto = zoo.build(name, **SLIM[name])
    network = driver.import_model(proto)
    turn = list(SLIM).index(name)
    strategies = (("baseline", "layer-cores")[turn % 2], "fuse-all", "dlfusion")
    plans = [
        strategic_plan(network, strategy, CORES[(turn // 2 + index) % len(CORES)])
        for index, strategy in enumerate(strategies)
    ]
    assert_plans_keep_the_numbers(proto, network, (*plans, random_plan(network, seed=turn)))


def test_detector_with_boxes_in_pixels() -> None:
    """Its exported form has values of five axes, which are cut and joined along the last one."""
    proto = zoo.build("yolo", **SLIM["yolo"], decoded=True)
    network = driver.import_model(proto)
    assert_plans_keep_the_numbers(proto, network, [strategic_plan(network, "fuse-all", 2)])


@pytest.mark.parametrize("name", ["efficientnet", "mobilenetv3", "regnet"])
def test_products_with_gates_run_fused(name: str) -> None:
    """A squeeze-and-excite gate needs the whole map; what multiplies by it streams into the convolution behind it."""
    network = driver.import_model(zoo.build(name, **SLIM[name]))
    gates = [layer.index for layer in network.layers if isinstance(layer.anchor.operator, Mul)]
    assert gates
    plan = strategic_plan(network, "fuse-all", 2)
    for index in gates:
        (block,) = (block for block in plan.blocks if index in block.layers)
        assert index + 1 in block.layers, f"{network.layers[index].name} ends its block"
