"""Networks as they are used, in their full depth but slim and on small maps, under plans of all kinds.

`python -m benchmarks.verify` does the same at full size, with more plans; it takes most of an hour.
"""

import pytest

from benchmarks.verify import CORES, STRATEGIES, random_plan, strategic_plan
from dlfusion import driver, zoo
from dlfusion.runtime.check import compare
from tests.support.onnx_models import run_onnx_runtime
from tests.support.slim_networks import SLIM


@pytest.mark.parametrize("name", SLIM)
def test_slim_network(name: str) -> None:
    """Each strategy on one of the numbers of cores, which change from model to model, and a random plan."""
    proto = zoo.build(name, **SLIM[name])
    network = driver.import_model(proto)
    turn = list(SLIM).index(name)
    plans = [
        strategic_plan(network, strategy, CORES[(turn + index) % len(CORES)])
        for index, strategy in enumerate(STRATEGIES)
    ]
    inputs = driver.random_inputs(network)
    expected = run_onnx_runtime(proto, network.graph, inputs)
    for plan in (*plans, random_plan(network, seed=turn)):
        with driver.compile(network, plan=plan) as compiled:
            verdict = compare(compiled.outputs(*inputs), expected)
        assert verdict.passed, f"{plan.strategy}: {verdict}\n{plan.to_json()}"
